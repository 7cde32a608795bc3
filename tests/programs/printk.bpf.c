// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * printk: text from a program: to the trace log, and into memory.
 *
 * Programs:  trace (xdp):  bpf_printk to trace_pipe
 *            format (xdp): bpf_snprintf into a map, one line for each kind of conversion
 * Reads:     the length of the frame, its first 16 bytes
 * Maps:      lines: text, an array indexed by enum line
 *            lengths: what bpf_snprintf returned (with the final zero byte), the same
 * Returns:   XDP_PASS, XDP_ABORTED for frames shorter than 16 bytes
 * Builds:    v3, v4
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define LINE_LENGTH 64
#define SAMPLE 16

enum line {
	DECIMAL,
	WIDE,
	HEXADECIMAL,
	PADDED,
	CHARACTER,
	STRING,
	IPV4,
	IPV6,
	TRUNCATED,
	PLAIN,
	LINES,
};

struct text {
	char text[LINE_LENGTH];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LINES);
	__type(key, __u32);
	__type(value, struct text);
} lines SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LINES);
	__type(key, __u32);
	__type(value, __s64);
} lengths SEC(".maps");

/* BPF_SNPRINTF of libbpf wants a constant format and packs the arguments into an array of __u64. */
#define write_line(line, capacity, format, arguments...)                                         \
	({                                                                                           \
		__u32 _index = line;                                                                     \
		struct text *_out = bpf_map_lookup_elem(&lines, &_index);                                \
		__s64 _written = _out ? BPF_SNPRINTF(_out->text, capacity, format, arguments) : -1;      \
                                                                                                 \
		bpf_map_update_elem(&lengths, &_index, &_written, BPF_ANY);                              \
	})

const char family[] = "ethernet";

static inline int start_of(struct xdp_md *ctx, __u8 bytes[SAMPLE])
{
	void *data = (void *)(long)ctx->data;

	if (data + SAMPLE > (void *)(long)ctx->data_end)
		return -1;
	__builtin_memcpy(bytes, data, SAMPLE);
	return 0;
}

SEC("xdp")
int trace(struct xdp_md *ctx)
{
	__u8 bytes[SAMPLE];

	if (start_of(ctx, bytes))
		return XDP_ABORTED;
	bpf_printk("packet"); /* up to three arguments: bpf_trace_printk */
	bpf_printk("%d bytes, type %x", ctx->data_end - ctx->data, bytes[12] << 8 | bytes[13]);
	bpf_printk("from %x:%x:%x and so on, %s, %u bytes sampled", bytes[6], bytes[7], bytes[8], family,
		   SAMPLE); /* more: bpf_trace_vprintk */
	return XDP_PASS;
}

SEC("xdp")
int format(struct xdp_md *ctx)
{
	__u32 length = ctx->data_end - ctx->data;
	__u8 bytes[SAMPLE];
	__u64 first;

	if (start_of(ctx, bytes))
		return XDP_ABORTED;
	first = *(__u64 *)bytes;

	write_line(DECIMAL, LINE_LENGTH, "%d %u %i", -(int)length, length, (int)length - 1000);
	write_line(WIDE, LINE_LENGTH, "%lld %llu %ld", (__s64)first, first, -(long)length);
	write_line(HEXADECIMAL, LINE_LENGTH, "%x %X %llx %08x", length, length, first, length);
	write_line(PADDED, LINE_LENGTH, "[%6d] [%-6d] [%06d] [%+d]", length, length, length, length);
	write_line(CHARACTER, LINE_LENGTH, "%c%c%c 100%%", 'a' + length % 26, 'b', 'c');
	write_line(STRING, LINE_LENGTH, "%s has %d bytes", family, length);
	write_line(IPV4, LINE_LENGTH, "%pi4 %pI4", bytes, bytes + 4);
	write_line(IPV6, LINE_LENGTH, "%pi6 %pI6", bytes, bytes);
	write_line(TRUNCATED, 8, "%d bytes on the wire", length);
	write_line(PLAIN, LINE_LENGTH, "no conversion %d", 0);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
