// Calls probed() in the way that the first argument names, and judges for itself whether all went right.  Says "ready",
// does its work at the first line of its input, says how often it "called" and "right" or "wrong", then waits for the
// end of its input.
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define APART __attribute__((noipa))

static atomic_long called;
static jmp_buf place;
static int threads = 8, times = 100;

APART long probed(long number)
{
	atomic_fetch_add(&called, 1);
	return 3 * number + 1;
}

APART long descend(long depth)
{
	atomic_fetch_add(&called, 1);
	return depth ? descend(depth - 1) + probed(depth) : 0;
}

APART void leap(long depth)
{
	atomic_fetch_add(&called, 1);
	if (depth == 0)
		longjmp(place, 1);
	leap(depth - 1);
	__asm__ volatile("");
}

APART long jumps_on(long number)
{
	atomic_fetch_add(&called, 1);
	return probed(number + 1); // by a jump, with -O2
}

static void *call_often(void *right)
{
	long sum = 0;

	for (long number = 0; number < times; number++)
		sum += probed(number);
	if (sum == 3L * times * (times - 1) / 2 + times)
		atomic_fetch_add((atomic_int *)right, 1);
	return NULL;
}

static void *allocate_often(void *right)
{
	int good = 1;

	for (long number = 0; number < times; number++) {
		char *memory = malloc(16 + number % 64);

		memory[0] = (char)number;
		good &= memory[0] == (char)number;
		free(memory);
	}
	atomic_fetch_add((atomic_int *)right, good);
	return NULL;
}

static int in_threads(void *(*work)(void *))
{
	pthread_t thread[64];
	atomic_int right = 0;

	for (int index = 0; index < threads; index++)
		pthread_create(&thread[index], NULL, work, &right);
	for (int index = 0; index < threads; index++)
		pthread_join(thread[index], NULL);
	return right == threads;
}

static int recursion(void)
{
	long sum = 0;

	for (long depth = 1; depth <= 1000; depth++)
		sum += 3 * depth + 1;
	return descend(1000) == sum;
}

static int leaps(void)
{
	volatile int landed = 0;

	for (volatile int round = 0; round < 50; round++) {
		if (setjmp(place) == 0)
			leap(20);
		else
			landed++;
		landed += probed(1) != 4;
	}
	return landed == 50;
}

static int tail(void)
{
	long sum = 0;

	for (long number = 0; number < 100; number++)
		sum += jumps_on(number);
	return sum == 3 * 5050 + 100;
}

static volatile long handled;

static void handler(int number)
{
	(void)number;
	handled += probed(2);
}

APART long interrupted(long number)
{
	atomic_fetch_add(&called, 1);
	raise(SIGUSR1);
	return number + 1;
}

static int on_alternate_stack(int above)
{
	char *memory = mmap(NULL, 1 << 17, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = { .ss_sp = memory, .ss_size = 1 << 17 };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	long sum = 0;

	if (sigaltstack(&stack, NULL) || sigaction(SIGUSR1, &action, NULL) || above < 0)
		return 0;
	for (long number = 0; number < 50; number++)
		sum += interrupted(number);
	return sum == 1275 && handled == 50 * 7;
}

static void *handle_above(void *right) // the stack is allocated before the thread's: it lies above it
{
	*(atomic_int *)right = on_alternate_stack(1);
	return NULL;
}

static int in_thread_below(void)
{
	pthread_t thread;
	atomic_int right = 0;

	pthread_create(&thread, NULL, handle_above, &right);
	pthread_join(thread, NULL);
	return right;
}

static void *one_call(void *right)
{
	if (probed(5) == 16)
		atomic_fetch_add((atomic_int *)right, 1);
	return NULL;
}

static int churn(void)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };
	atomic_int right = 0, made = 0;

	do {
		pthread_t thread[4];

		for (int index = 0; index < 4; index++)
			pthread_create(&thread[index], NULL, one_call, &right);
		for (int index = 0; index < 4; index++)
			pthread_join(thread[index], NULL);
		made += 4;
	} while (poll(&input, 1, 0) == 0);
	return right == made && made > 0;
}

static int forks(void)
{
	int right = 1, status;

	for (int round = 0; round < 10; round++) {
		long before = called;
		pid_t child = fork();

		if (child == 0) {
			long sum = 0;

			for (long number = 0; number < 10; number++)
				sum += probed(number);
			_exit(sum == 145 && called == before + 10 ? 7 : 1);
		}
		right &= waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7;
		right &= probed(1) == 4;
	}
	return right;
}

static int spawns(void)
{
	int right = 1;

	for (int round = 0; round < 10; round++) {
		right &= system("exit 5") == 5 << 8;
		right &= probed(1) == 4;
	}
	for (int round = 0; round < 5; round++) {
		pid_t child = vfork();
		int status;

		if (child == 0) {
			called += probed(1) - 5; // seen by nobody, and counted by nobody
			execl("/bin/true", "true", (char *)NULL);
			_exit(1);
		}
		right &= waitpid(child, &status, 0) == child && status == 0;
	}
	return right;
}

static atomic_int ticks;

static void tick(int number)
{
	(void)number;
	ticks++;
}

static int under_signals(void)
{
	struct sigaction action = { .sa_handler = tick, .sa_flags = SA_RESTART };
	long sum = 0;

	sigaction(SIGALRM, &action, NULL);
	ualarm(300, 300);
	for (long number = 0; number < times; number++)
		sum += probed(number);
	ualarm(0, 0);
	return sum == 3L * times * (times - 1) / 2 + times && ticks > 0;
}

static void *block_traps(void *right)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	return call_often(right);
}

static void say(int right)
{
	printf("called %ld\n%s\n", (long)called, right ? "right" : "wrong");
	fflush(stdout);
	while (getchar() != EOF)
		;
	exit(right ? 0 : 1);
}

static void *alone(void *unused)
{
	atomic_int right = 0;

	usleep(50000); // the first thread has ended
	times = 100;
	call_often(&right);
	say(right);
	return unused;
}

static int headless(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, alone, NULL);
	pthread_exit(NULL);
}

static int work(const char *way)
{
	if (!strcmp(way, "headless"))
		return headless();
	if (!strcmp(way, "calls"))
		return in_threads(call_often);
	if (!strcmp(way, "malloc"))
		return in_threads(allocate_often);
	if (!strcmp(way, "blocked"))
		return in_threads(block_traps);
	if (!strcmp(way, "recursion"))
		return recursion();
	if (!strcmp(way, "longjmp"))
		return leaps();
	if (!strcmp(way, "tail"))
		return tail();
	if (!strcmp(way, "altstack"))
		return on_alternate_stack(0);
	if (!strcmp(way, "altstack-thread"))
		return in_thread_below();
	if (!strcmp(way, "churn"))
		return churn();
	if (!strcmp(way, "fork"))
		return forks();
	if (!strcmp(way, "spawn"))
		return spawns();
	if (!strcmp(way, "signals"))
		return under_signals();
	return 0;
}

int main(int count, char **arguments)
{
	if (count > 2)
		threads = atoi(arguments[2]);
	if (count > 3)
		times = atoi(arguments[3]);
	printf("ready\n");
	fflush(stdout);
	if (getchar() == EOF)
		return 2;
	say(work(arguments[1]));
}
