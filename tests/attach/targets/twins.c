// Together with twins_other.c: two static functions of one name.
int other(int number);

static __attribute__((noipa)) int twin(int number)
{
	return number + 1;
}

int main(int count, char **arguments)
{
	return arguments ? twin(count) + other(count) : 0;
}
