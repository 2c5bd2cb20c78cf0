/* Zero pages, more than 256 equal pages of several contents, and unique pages. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 2600 };

int main(void)
{
	char *area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return 1;
	for (int n = 0; n < PAGES; n++) {
		char *page = area + (size_t)n * PAGE;
		if (n % 13 == 0)
			continue;			/* never touched */
		if (n % 7 == 0)
			memset(page, 0, PAGE);
		else if (n % 5 == 0)
			*(int *)page = n;		/* unique */
		else if (n % 3 == 0)
			memset(page, 'b', PAGE);
		else
			memset(page, 'a', PAGE);
	}
	kill(getpid(), SIGSTOP);
	return 0;
}
