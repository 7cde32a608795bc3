// A function whose address is chosen when the program is linked at run time.
static int fast(int number)
{
	return number + 1;
}

static void *choose(void)
{
	return fast;
}

int chosen(int number) __attribute__((ifunc("choose")));

int main(int count, char **arguments)
{
	return arguments ? chosen(count) : 0;
}
