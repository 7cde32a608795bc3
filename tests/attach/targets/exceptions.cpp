// Throws exceptions through probed functions; speaks as workload.c does.
#include <atomic>
#include <cstdio>

static std::atomic<long> called;

extern "C" __attribute__((noipa)) long calm(long number)
{
	called++;
	return number + 1;
}

extern "C" __attribute__((noipa)) long thrower(long number)
{
	called++;
	if (number >= 0)
		throw number;
	return number;
}

struct Counted {
	long &count;
	~Counted() { count++; }
};

static long unwound;

extern "C" __attribute__((noipa)) long between(long number)
{
	Counted counted{unwound};

	called++;
	return thrower(number) + 1;
}

int main()
{
	long sum = 0;

	std::puts("ready");
	std::fflush(stdout);
	if (std::getchar() == EOF)
		return 2;
	for (long number = 0; number < 100; number++) {
		try {
			between(number);
		} catch (long thrown) {
			sum += calm(thrown);
		}
	}
	bool right = sum == 5050 && unwound == 100;
	std::printf("called %ld\n%s\n", called.load(), right ? "right" : "wrong");
	std::fflush(stdout);
	while (std::getchar() != EOF)
		;
	return right ? 0 : 1;
}
