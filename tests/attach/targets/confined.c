// A process that is hard to attach to.  The first argument says why: "seccomp" (a filter kills it for mmap, rt_sigaction
// and munmap), "memory" (RLIMIT_AS leaves no room).  Then it does as workload.c does, with one thread.
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static long called;

__attribute__((noipa)) long probed(long number)
{
	called++;
	return number + 1;
}

static int confine(const char *why)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigaction, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(*code), code };
	struct rlimit limit = { 1 << 20, 1 << 20 };

	if (!strcmp(why, "memory"))
		return setrlimit(RLIMIT_AS, &limit);
	if (!strcmp(why, "seccomp"))
		return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
	return 0;
}

int main(int count, char **arguments)
{
	static char input[4096], output[4096];
	long sum = 0;

	setvbuf(stdin, input, _IOFBF, sizeof(input));
	setvbuf(stdout, output, _IOFBF, sizeof(output));
	if (count > 1 && confine(arguments[1]))
		return 3;
	printf("ready\n");
	fflush(stdout);
	if (getchar() == EOF)
		return 2;
	for (long number = 0; number < 100; number++)
		sum += probed(number);
	printf("called %ld\n%s\n", called, sum == 5050 ? "right" : "wrong");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return sum == 5050 ? 0 : 1;
}
