/* A second reader of map slabs, written from docs/reference/layout.md alone.
 *
 *     slab_reader FILE
 *
 * prints one line for each element: the key in hexadecimal, then the value of each cpu; for a ring buffer one line
 * for each finished record.  Whatever contradicts the layout (a hash, a chain, a count) is an error on stderr and
 * exit status 1.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HASH = 1, ARRAY = 2, PROG_ARRAY = 3, PERF_EVENT_ARRAY = 4, PERCPU_HASH = 5, PERCPU_ARRAY = 6,
       STACK_TRACE = 7, LRU_HASH = 9, RINGBUF = 27 };

static uint8_t *slab;
static uint64_t slab_length;

static void fail(const char *reason)
{
	fprintf(stderr, "slab_reader: %s\n", reason);
	exit(1);
}

/* Little-endian numbers on any host. */
static uint64_t number(uint64_t offset, int size)
{
	uint64_t result = 0;

	if (offset + size > slab_length)
		fail("an offset beyond the end of the slab");
	for (int i = size - 1; i >= 0; i--)
		result = result << 8 | slab[offset + i];
	return result;
}

static uint32_t u32(uint64_t offset) { return number(offset, 4); }
static uint64_t u64(uint64_t offset) { return number(offset, 8); }

static void print_bytes(uint64_t offset, uint64_t size)
{
	if (offset + size > slab_length)
		fail("bytes beyond the end of the slab");
	for (uint64_t i = 0; i < size; i++)
		printf("%02x", slab[offset + i]);
}

static uint32_t hash_of(uint64_t offset, uint32_t size, uint64_t seed)
{
	uint64_t state = seed ^ size;

	for (uint32_t done = 0; done < size; done += 8) {
		state ^= number(offset + done, size - done < 8 ? size - done : 8);
		state *= UINT64_C(0x9E3779B97F4A7C15);
		state ^= state >> 32;
	}
	return state * UINT64_C(0x9E3779B97F4A7C15) >> 32;
}

struct header {
	uint32_t type, key_size, value_size, max_entries, cpus, buckets, slots, slot_stride;
	uint32_t key_offset, value_offset, value_stride;
	uint64_t buckets_offset, slots_offset, seed;
} map;

static uint64_t slot_at(uint32_t link)
{
	if (link == 0 || link > map.slots)
		fail("a link to no slot");
	return map.slots_offset + (uint64_t)(link - 1) * map.slot_stride;
}

static void print_values(uint64_t slot)
{
	for (uint32_t cpu = 0; cpu < map.cpus; cpu++) {
		printf(" ");
		print_bytes(slot + map.value_offset + (uint64_t)cpu * map.value_stride, map.value_size);
	}
	printf("\n");
}

static void print_array(int skip_empty)
{
	for (uint32_t i = 0; i < map.max_entries; i++) {
		uint64_t slot = slot_at(i + 1);

		if (skip_empty && u32(slot) == 0)
			continue;
		printf("%02x%02x%02x%02x", i & 255, i >> 8 & 255, i >> 16 & 255, i >> 24);
		print_values(slot);
	}
}

static void check_free_list(uint32_t live)
{
	uint32_t used = u32(116), spare = u32(136), free_slots = 0;

	for (uint32_t link = u32(120); link; link = u32(slot_at(link) + 16)) {
		if (u32(slot_at(link)) != 1)
			fail("a slot on the free list that is not free");
		if (link == spare)
			fail("the spare slot is on the free list");
		if (++free_slots > used)
			fail("the free list runs in a circle");
	}
	if (spare && u32(slot_at(spare)) != 1)
		fail("a spare slot that is not free");
	if (live + free_slots + (spare != 0) != used)
		fail("live, free and spare slots are not all that were used");
}

static void check_order(uint32_t live)
{
	uint32_t count = 0, newer = 0;

	for (uint32_t link = u32(124); link; link = u32(slot_at(link) + 16)) {
		if (u32(slot_at(link)) != 2 || u32(slot_at(link) + 12) != newer)
			fail("the order of use is broken");
		if (++count > live)
			fail("the order of use runs in a circle");
		newer = link;
	}
	if (count != live || newer != u32(128))
		fail("the order of use does not hold all elements");
}

static void print_hash(void)
{
	uint32_t live = 0;

	for (uint32_t bucket = 0; bucket < map.buckets; bucket++) {
		for (uint32_t link = u32(map.buckets_offset + 4 * (uint64_t)bucket); link; link = u32(slot_at(link) + 8)) {
			uint64_t slot = slot_at(link);
			uint32_t hash = hash_of(slot + map.key_offset, map.key_size, map.seed);

			if (u32(slot) != 2)
				fail("a slot in a chain that is not live");
			if (u32(slot + 4) != hash || (hash & (map.buckets - 1)) != bucket)
				fail("an element with another hash or in another bucket");
			if (++live > map.slots)
				fail("a chain runs in a circle");
			print_bytes(slot + map.key_offset, map.key_size);
			print_values(slot);
		}
	}
	if (live != u32(112))
		fail("live_count is not the number of elements");
	check_free_list(live);
	if (map.type == LRU_HASH)
		check_order(live);
}

static void print_stacks(void)
{
	uint32_t live = 0;

	for (uint32_t bucket = 0; bucket < map.buckets; bucket++) {
		uint32_t link = u32(map.buckets_offset + 4 * (uint64_t)bucket);
		uint64_t slot, size;

		if (!link)
			continue;
		live++;
		slot = slot_at(link);
		size = 8 * (uint64_t)u32(slot + 24);
		if (u32(slot) != 2 || size > map.value_size)
			fail("a stack that is not live, or too long");
		if (u32(slot + 4) != hash_of(slot + map.value_offset, size, 0) || (u32(slot + 4) & (map.buckets - 1)) != bucket)
			fail("a stack with another hash or in another bucket");
		printf("%02x%02x%02x%02x ", bucket & 255, bucket >> 8 & 255, bucket >> 16 & 255, bucket >> 24);
		print_bytes(slot + map.value_offset, size);
		printf("\n");
	}
	if (live != u32(112))
		fail("live_count is not the number of stacks");
	check_free_list(live);
}

static void print_ring(void)
{
	uint64_t position = u64(4096), end = u64(8192), size = map.max_entries;

	while (position < end) {
		uint64_t place = map.slots_offset + position % size;
		uint32_t header = u32(place), length = header & 0x3fffffff;

		if (u32(place + 4) != place / 4096)
			fail("a record that names another page");
		if (header & UINT32_C(1) << 31)
			break;
		if (!(header & UINT32_C(1) << 30)) {
			for (uint32_t i = 0; i < length; i++)
				printf("%02x", slab[map.slots_offset + (position + 8 + i) % size]);
			printf("\n");
		}
		position += ((uint64_t)length + 8 + 7) / 8 * 8;
	}
}

static void read_file(const char *name)
{
	FILE *file = fopen(name, "rb");
	long size;

	if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0)
		fail("the file cannot be read");
	rewind(file);
	slab_length = size;
	slab = malloc(slab_length + 1);
	if (!slab || fread(slab, 1, slab_length, file) != slab_length)
		fail("the file cannot be read");
	fclose(file);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		fail("usage: slab_reader FILE");
	read_file(argv[1]);
	if (slab_length < 4096 || memcmp(slab, "BPFTSLAB", 8) || u32(8) != 1 || u64(80) != slab_length)
		fail("not a slab of version 1");
	map = (struct header){ u32(12), u32(16), u32(20), u32(24), u32(32), u32(36), u32(40), u32(44),
			       u32(48), u32(52), u32(56), u64(64), u64(72), u64(88) };
	switch (map.type) {
	case ARRAY:
	case PERCPU_ARRAY:
		print_array(0);
		break;
	case PROG_ARRAY:
	case PERF_EVENT_ARRAY:
		print_array(1);
		break;
	case HASH:
	case PERCPU_HASH:
	case LRU_HASH:
		print_hash();
		break;
	case STACK_TRACE:
		print_stacks();
		break;
	case RINGBUF:
		print_ring();
		break;
	default:
		fail("a map type that this reader does not know");
	}
	free(slab);
	return 0;
}
