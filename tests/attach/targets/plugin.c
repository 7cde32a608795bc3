// A library that `loader` loads and unloads: calls what it is given, and does not jump there.
long plug(long (*callee)(long), long number)
{
	return callee(number) + 1;
}
