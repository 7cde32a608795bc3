// Two threads beside the first, the second with a name that is hard to parse; it says their ids, then waits for the end
// of its input.
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static sem_t named;

static void *wait_forever(void *name)
{
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	prctl(PR_SET_NAME, name);
	printf("thread %ld\n", syscall(SYS_gettid));
	fflush(stdout);
	sem_post(&named);
	for (;;)
		pause();
	return NULL;
}

static void ignore(int signal)
{
	(void)signal;
}

int main(void)
{
	pthread_t thread;

	sem_init(&named, 0, 0);
	signal(SIGUSR2, ignore);
	pthread_create(&thread, NULL, wait_forever, "plain");
	sem_wait(&named);
	pthread_create(&thread, NULL, wait_forever, "a) R\n1 (b) 2");
	sem_wait(&named);
	printf("ready\n");
	fflush(stdout);
	return getchar() == EOF ? 0 : 1;
}
