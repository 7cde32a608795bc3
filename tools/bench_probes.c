// The target of bench_probes.py: for each line `CALLS THREADS` of its input, every thread calls `probed` CALLS times, and
// the nanoseconds that all of them took together are printed.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define MOST_THREADS 64

long probed(long size); // begins with an instruction that is neither a push nor a nop, which kernels emulate
__asm__(".globl probed\n.type probed, @function\nprobed:\n\tlea 1(%rdi), %rax\n\tret\n.size probed, . - probed");

static long calls;
static pthread_barrier_t begin;

static void *call(void *unused)
{
	pthread_barrier_wait(&begin);
	for (long number = 0; number < calls; number++)
		probed(number);
	return unused;
}

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000 + time.tv_nsec;
}

int main(void)
{
	pthread_t thread[MOST_THREADS];
	int threads;
	long start;

	printf("ready\n");
	fflush(stdout);
	while (scanf("%ld %d", &calls, &threads) == 2 && threads > 0 && threads <= MOST_THREADS) {
		pthread_barrier_init(&begin, NULL, threads + 1);
		for (int index = 0; index < threads; index++)
			pthread_create(&thread[index], NULL, call, NULL);
		start = now();
		pthread_barrier_wait(&begin);
		for (int index = 0; index < threads; index++)
			pthread_join(thread[index], NULL);
		printf("%ld\n", now() - start);
		fflush(stdout);
	}
	return 0;
}
