// What a process does with SIGTRAP, and with being stopped.  The first argument says what SIGTRAP does: "default",
// "ignore", "plain" (a handler), "info" (one with SA_SIGINFO), or "blocked" (in a thread that makes the calls).  Calls
// probed() at each line of its input and answers "called N trapped N"; at its end it says "done".  Other ways: "sleep",
// "read" and "futex" wait in a system call and say how it ended.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int trapped, sender;
static long called;

__attribute__((noipa)) long probed(long number)
{
	called++;
	return number + 1;
}

static void plain(int number)
{
	(void)number;
	trapped++;
}

static void info(int number, siginfo_t *information, void *context)
{
	(void)number;
	(void)context;
	trapped++;
	sender = information->si_pid;
}

static void *answer(void *blocks)
{
	char line[64];
	sigset_t set;

	if (blocks) {
		sigfillset(&set);
		pthread_sigmask(SIG_BLOCK, &set, NULL);
	}
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		for (int round = 0; round < 10; round++)
			if (probed(round) != round + 1)
				return NULL;
		printf("called %ld trapped %d\n", called, trapped);
		fflush(stdout);
	}
	puts("done");
	fflush(stdout);
	return NULL;
}

static void wait_for(const char *what)
{
	struct timespec before, after, second = { .tv_sec = 2 };
	char byte = 0;
	int word = 0;
	long result = 0;

	puts("ready");
	fflush(stdout);
	clock_gettime(CLOCK_MONOTONIC, &before);
	errno = 0;
	if (!strcmp(what, "sleep"))
		result = nanosleep(&second, NULL);
	if (!strcmp(what, "read"))
		result = read(0, &byte, 1);
	if (!strcmp(what, "futex"))
		result = syscall(SYS_futex, &word, FUTEX_WAIT, 0, &second, NULL, 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	long passed = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	printf("%ld %s %s\n", result, strerror(errno), passed >= 2000 || byte ? "whole" : "short");
	fflush(stdout);
}

int main(int count, char **arguments)
{
	struct sigaction action = { .sa_flags = SA_RESTART };
	pthread_t thread;

	if (count < 2)
		return 2;
	if (!strcmp(arguments[1], "ignore"))
		action.sa_handler = SIG_IGN;
	if (!strcmp(arguments[1], "plain"))
		action.sa_handler = plain;
	if (!strcmp(arguments[1], "info")) {
		action.sa_sigaction = info;
		action.sa_flags |= SA_SIGINFO;
	}
	sigaction(SIGTRAP, &action, NULL);
	if (!strcmp(arguments[1], "blocked")) {
		pthread_create(&thread, NULL, answer, "blocks");
		pthread_join(thread, NULL);
	} else if (strchr("srf", arguments[1][0])) {
		wait_for(arguments[1]);
	} else {
		answer(NULL);
	}
	return 0;
}
