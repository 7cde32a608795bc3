// A shared library with two versions of greet(), and one of part(); versions.map names the versions.
__attribute__((noipa)) int greet_old(void)
{
	return 1;
}

__attribute__((noipa)) int greet_new(void)
{
	return 2;
}

__attribute__((noipa)) int part(void)
{
	return 3;
}

__asm__(".symver greet_old, greet@FIRST");
__asm__(".symver greet_new, greet@@SECOND");
