// Calls of malloc and read that are known: when its first line of input comes, each of THREADS threads (`allocating
// [ROUNDS [THREADS]]`) makes ROUNDS rounds of five; the end of its input ends it.  It waits by bare system calls, which
// no probe of a function sees, and begins its threads before it is "ready".
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long rounds = 100, threads = 1;
static int zero;
static pthread_barrier_t begin, end;

static void say(const char *line)
{
	syscall(SYS_write, 1, line, strlen(line));
}

static long wait_for_input(void)
{
	char byte;

	return syscall(SYS_read, 0, &byte, 1);
}

static void *work(void *unused)
{
	volatile size_t impossible = PTRDIFF_MAX;
	char buffer[16];

	pthread_barrier_wait(&begin);
	for (long round = 0; round < rounds; round++) {
		void *volatile small = malloc(round + 1);
		void *volatile large = malloc(5000);
		void *volatile none = malloc(impossible);

		if (read(zero, buffer, sizeof buffer) != sizeof buffer || read(-1, buffer, 1) != -1 || none)
			abort();
		free(large);
		free(small);
	}
	pthread_barrier_wait(&end);
	return unused;
}

int main(int count, char **arguments)
{
	if (count > 1)
		rounds = atol(arguments[1]);
	if (count > 2)
		threads = atol(arguments[2]);
	zero = open("/dev/zero", O_RDONLY);
	pthread_barrier_init(&begin, NULL, threads + 1);
	pthread_barrier_init(&end, NULL, threads + 1);
	for (long index = 0; index < threads; index++) {
		pthread_t thread;

		pthread_create(&thread, NULL, work, NULL);
	}
	say("ready\n");
	if (wait_for_input() != 1)
		return 1;
	pthread_barrier_wait(&begin);
	pthread_barrier_wait(&end);
	say("done\n");
	while (wait_for_input() > 0)
		;
	return 0;
}
