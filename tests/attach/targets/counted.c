// Calls that are known: when its first line of input comes, CALLS times `work(n)`, n from 0, in each of THREADS threads
// (`counted [CALLS [THREADS]]`), then the end of its input ends it.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static long calls = 1000, threads = 1;

__attribute__((noinline)) long work(long number)
{
	__asm__ volatile("" : "+r"(number)); // so that calls differ for the compiler
	return number * 2 + 1;
}

static void *call(void *unused)
{
	for (long number = 0; number < calls; number++)
		work(number);
	return unused;
}

int main(int count, char **arguments)
{
	pthread_t thread[64];

	if (count > 1)
		calls = atol(arguments[1]);
	if (count > 2)
		threads = atol(arguments[2]);
	printf("ready\n");
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	for (long index = 0; index < threads; index++)
		pthread_create(&thread[index], NULL, call, NULL);
	for (long index = 0; index < threads; index++)
		pthread_join(thread[index], NULL);
	printf("done\n");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
