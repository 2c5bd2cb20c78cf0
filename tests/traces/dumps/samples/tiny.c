/* A process of few pages, each of a kind that a dump must tell from the others.

   Built without a C library, so that nothing of anybody else's is in its memory:
   gcc -static -nostdlib -fno-stack-protector -O1 -o tiny tiny.c */

#include <sys/mman.h>
#include <sys/syscall.h>

#define PAGE 4096L
#define PAGES 16L
#define AREA ((char *)0x10000000L)

static long call(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static void fill(char *page, char byte)
{
    for (long at = 0; at < PAGE; at++)
        page[at] = byte;
}

static char *area(int number, int flags)
{
    char *at = AREA + number * 2 * PAGES * PAGE;
    call(SYS_mmap, (long)at, PAGES * PAGE, PROT_READ | PROT_WRITE,
         flags | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    return at;
}

void _start(void)
{
    /* Private: a page each of 'a', 'b' and 'a' again, two of zeros that were written,
       one of zeros that was only read, and the rest never touched. */
    char *private = area(0, MAP_PRIVATE);
    fill(private + 0 * PAGE, 'a');
    fill(private + 1 * PAGE, 'b');
    fill(private + 2 * PAGE, 'a');
    fill(private + 4 * PAGE, 0);
    fill(private + 5 * PAGE, 0);
    volatile char read = private[7 * PAGE];
    (void)read;
    fill(private + 9 * PAGE, 'c');
    private[9 * PAGE + 5] = 'd';
    /* Offered to ksmd. */
    char *offered = area(1, MAP_PRIVATE);
    call(SYS_madvise, (long)offered, PAGES * PAGE, MADV_MERGEABLE, 0, 0, 0);
    for (long at = 0; at < 4; at++)
        fill(offered + at * PAGE, 'a');
    /* Never looked at by ksmd. */
    char *shared = area(2, MAP_SHARED);
    fill(shared, 'a');
    char *hidden = area(3, MAP_PRIVATE);
    fill(hidden + PAGE, 'e');
    call(SYS_mprotect, (long)hidden, PAGES * PAGE, PROT_NONE, 0, 0, 0);
    call(SYS_write, 1, (long)"ready\n", 6, 0, 0, 0);
    for (;;)
        call(SYS_pause, 0, 0, 0, 0, 0, 0);
}
