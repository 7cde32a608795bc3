// Prints every line of its input, and ends with the number of lines as exit code, or by a signal that a line names.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char line[256];
static int count;

__attribute__((noipa)) char *next_line(int number)
{
	(void)number;
	if (!fgets(line, sizeof(line), stdin))
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	return line;
}

int main(void)
{
	while (next_line(count)) {
		count++;
		if (!strcmp(line, "SIGUSR1"))
			raise(SIGUSR1);
		puts(line);
		fflush(stdout);
	}
	return count;
}
