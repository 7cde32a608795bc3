// The first thread ends, another one says "ready" and goes on to the end of its input.
#include <pthread.h>
#include <stdio.h>

static void *go_on(void *unused)
{
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return unused;
}

int main(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, go_on, NULL);
	pthread_exit(NULL);
}
