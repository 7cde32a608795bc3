// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * strings: compare and copy text, and read memory that the verifier knows nothing about.
 *
 * Programs:  match (xdp):  look for the start of a request in the first 128 bytes
 *            copies (xdp): bpf_probe_read_kernel and its string variants, with their return values
 * Reads:     the first 128 bytes of the frame
 * Maps:      methods: packets, an array indexed by the method found
 *            text:    a buffer that the program reads back by its address: an array of one
 *            results: what the helpers returned, an array
 * Returns:   XDP_PASS
 * Builds:    v3, v4
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define WINDOW 128
#define WORD 8
#define BUFFER 64
#define METHODS 4
#define RESULTS 8

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, METHODS);
	__type(key, __u32);
	__type(value, __u64);
} methods SEC(".maps");

struct text {
	char bytes[BUFFER];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct text);
} text SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RESULTS);
	__type(key, __u32);
	__type(value, __s64);
} results SEC(".maps");

/* bpf_strncmp wants its second string in read-only memory, and its length as a constant. */
static const char get[] = "GET ";
static const char post[] = "POST ";
static const char search[] = "M-SEARCH";

static inline __u32 method_of(const char word[WORD])
{
	if (!bpf_strncmp(word, 4, get))
		return 1;
	if (!bpf_strncmp(word, 5, post))
		return 2;
	if (!bpf_strncmp(word, WORD, search))
		return 3;
	return 0;
}

static long try_at(__u32 offset, void *context)
{
	struct xdp_md *ctx = *(struct xdp_md **)context;
	char word[WORD] = {};
	__u64 *packets;
	__u32 method;

	if (bpf_xdp_load_bytes(ctx, offset, word, sizeof(word)))
		return 1;
	method = method_of(word);
	if (!method)
		return 0;
	packets = bpf_map_lookup_elem(&methods, &method);
	if (packets)
		__sync_fetch_and_add(packets, 1);
	return 1;
}

SEC("xdp")
int match(struct xdp_md *ctx)
{
	struct xdp_md *packet = ctx;

	bpf_loop(WINDOW - WORD, try_at, &packet, 0);
	return XDP_PASS;
}

static inline void store(__u32 index, __s64 value)
{
	bpf_map_update_elem(&results, &index, &value, BPF_ANY);
}

SEC("xdp")
int copies(struct xdp_md *ctx)
{
	__u32 first = 0, length = ctx->data_end - ctx->data;
	struct text *buffer = bpf_map_lookup_elem(&text, &first);
	char copy[16] = "unchanged";
	char *source;

	if (!buffer)
		return XDP_ABORTED;
	__builtin_memcpy(buffer->bytes, "abcdefghijklmnop", 17);
	buffer->bytes[length & 15] = 0; /* a string of length % 16 characters */
	source = buffer->bytes;

	/* Length with the final zero byte; never more than the room. */
	store(0, bpf_probe_read_kernel_str(copy, sizeof(copy), source));
	store(1, copy[0]);
	store(2, bpf_probe_read_kernel_str(copy, 4, source));
	store(3, copy[3]); /* always ends with a zero byte */
	store(4, bpf_probe_read_kernel(copy, sizeof(copy), source + 1));
	store(5, copy[1]);
	/* An address that cannot be read is an error and zeroes, not a fault. */
	store(6, bpf_probe_read_kernel(copy, sizeof(copy), NULL));
	store(7, copy[1]);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
