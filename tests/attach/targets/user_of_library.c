// Linked with the library: says where its function is, then waits for the end of its input.
#include <stdio.h>

int library_work(int number);

int main(void)
{
	printf("library_work %p\nready\n", (void *)library_work);
	fflush(stdout);
	while (getchar() != EOF)
		library_work(1);
	return 0;
}
