// Says where its functions are, then calls work() with every number that it reads, until the end of its input.
#include <stdio.h>

#define APART __attribute__((noipa))  // compiled as it stands: not inlined, not cloned, not called otherwise

int counter = 3;
int zeros[4096];

APART int work(int number)
{
	return number * counter + zeros[0];
}

static APART int hidden(int number)
{
	return number + 1;
}

__attribute__((weak)) APART int weak_work(int number)
{
	return number + 2;
}

int main(void)
{
	int number;

	printf("work %p\nhidden %p\nweak_work %p\nmain %p\nready\n", (void *)work, (void *)hidden,
	       (void *)weak_work, (void *)main);
	fflush(stdout);
	while (scanf("%d", &number) == 1) {
		printf("%d\n", work(hidden(weak_work(number))));
		fflush(stdout);
	}
	return 0;
}
