// A shared library with one function; user_of_library.c calls it.
__attribute__((noipa)) int library_work(int number)
{
	return 2 * number;
}
