// Has the plugin that the first argument names loaded; at the first line of its input calls it, unloads it and loads it
// again, several times, and ends without it.  The plugin calls probed().  Talks as workload does.
#include <dlfcn.h>
#include <stdio.h>

static long called;

__attribute__((noipa)) long probed(long number)
{
	called++;
	return 3 * number;
}

int main(int count, char **arguments)
{
	char line[16];
	int right = count == 2;
	void *plugin = dlopen(arguments[1], RTLD_NOW);

	puts("ready");
	fflush(stdout);
	if (!plugin || !fgets(line, sizeof(line), stdin))
		return 2;
	for (int round = 0; round < 5; round++) {
		long (*plug)(long (*)(long), long);

		if (round)
			plugin = dlopen(arguments[1], RTLD_NOW);
		*(void **)&plug = dlsym(plugin, "plug");
		for (long number = 0; number < 10; number++)
			right &= plug(probed, number) == 3 * number + 1;
		dlclose(plugin);
	}
	printf("called %ld\n%s\n", called, right ? "right" : "wrong");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		;
	return !right;
}
