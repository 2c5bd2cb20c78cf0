/* A parent, a child and a grandchild; each writes to part of what it inherits. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 600 };

static char *area;

static void scribble(int from, int step, int kinds)
{
	for (int n = from; n < PAGES; n += step)
		memset(area + (size_t)n * PAGE, 1 + n % kinds, PAGE);
}

int main(void)
{
	area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return 1;
	scribble(0, 1, 40);
	for (int n = 0; n < PAGES; n += 4)
		*(int *)(area + (size_t)n * PAGE) = n;
	if (fork() == 0) {
		scribble(1, 5, 30);
		if (fork() == 0)
			scribble(2, 7, 20);
	}
	kill(getpid(), SIGSTOP);
	return 0;
}
