// Blocks SIGTRAP; at a line of input it forks, and its child says whether it blocks SIGTRAP too, as a child should.
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline)) long probed(long number)
{
	__asm__ volatile("");
	return number + 1;
}

int main(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTRAP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	printf("ready\n");
	fflush(stdout);
	getchar();
	if (fork() == 0) {
		sigprocmask(SIG_BLOCK, NULL, &set);
		printf("%s\n", sigismember(&set, SIGTRAP) ? "blocked" : "not blocked");
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	printf("done\n");
	fflush(stdout);
	return getchar() == EOF ? (int)probed(-1) : 1;
}
