// The other half of twins.c.  TWIN may be defined to make its function global or weak.
#ifndef TWIN
#define TWIN static
#endif

TWIN __attribute__((noipa)) int twin(int number)
{
	return number + 2;
}

int other(int number)
{
	return twin(number);
}
