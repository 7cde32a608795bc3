// Calls observe() once on its first thread and once on a second one with another name, and says before and after what
// a probe there must have seen.  Waits for a line before it begins, and for the end of its input before it ends.
// Two arguments are the user and the group to be.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct point {
	int x;
	long long y;
};

static const char *bad = (const char *)0x10;  // on the first page, which nothing maps
static const char *edge;  // "edge" and its NUL are the last bytes of a page before one that is not mapped
static const char *torn;  // the last bytes of such a page, without a NUL

static unsigned long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

__attribute__((noipa)) long observe(long number, struct point *point, const char *text, const char *unreadable,
				    const char *at_edge, const char *without_end)
{
	printf("return_address %p\ncaller_stack %p\n", __builtin_return_address(0), __builtin_dwarf_cfa());
	return number * 2 + point->x + (text == unreadable) + (at_edge == without_end);
}

static void call(const char *who, long number, const char *text)
{
	struct point point = {.x = -(int)number, .y = number * (1LL << 40)};
	unsigned long long before, after;
	cpu_set_t mine;
	long result;

	CPU_ZERO(&mine);
	CPU_SET(sched_getcpu(), &mine);
	sched_setaffinity(0, sizeof(mine), &mine);
	printf("call %s\npid %d\ntid %ld\ncpu %d\nuid %d\ngid %d\nnumber %ld\npoint %p\nx %d\ny %lld\ntext %p %s\n", who,
	       getpid(), syscall(SYS_gettid), sched_getcpu(), geteuid(), getegid(), number, (void *)&point, point.x, point.y,
	       (const void *)text, text);
	before = now();
	result = observe(number, &point, text, bad, edge, torn);
	after = now();
	printf("before %llu\nafter %llu\nresult %ld\n", before, after, result);
}

static char *last_bytes_of_a_page(const char *content, size_t length)
{
	long page = sysconf(_SC_PAGESIZE);
	char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(pages + page, page);
	return memcpy(pages + page - length, content, length);
}

static void *second_thread(void *unused)
{
	prctl(PR_SET_NAME, "second \"one\"");
	call("second \"one\"", 77, "longer than fifteen characters");
	return unused;
}

int main(int count, char **arguments)
{
	pthread_t thread;
	int byte;

	if (count > 1 && (setresgid(atoi(arguments[2]), atoi(arguments[2]), atoi(arguments[2])) ||
			  setresuid(atoi(arguments[1]), atoi(arguments[1]), atoi(arguments[1]))))
		return 1;

	edge = last_bytes_of_a_page("edge", 5);
	torn = last_bytes_of_a_page("torn", 4);
	printf("observe %p\nedge %p\ntorn %p\nready\n", (void *)observe, (const void *)edge, (const void *)torn);
	fflush(stdout);
	getchar();
	call("values", -5, "h\xc3\xa9llo");
	pthread_create(&thread, NULL, second_thread, NULL);
	pthread_join(thread, NULL);
	fflush(stdout);
	while ((byte = getchar()) != EOF)
		;
	return 0;
}
