// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * readline: every line that is typed into a bash, as it is entered.
 *
 * Programs:  typed (uretprobe), on readline in /bin/bash
 * Reads:     pt_regs: the returned string; process id, command
 * Maps:      lines:  a ring buffer, 64 KiB; records are struct line
 *            events: a perf event array for the same records, where through_perf is set
 * Returns:   0, which nobody looks at
 * Builds:    v3, v4
 *
 * readline returns NULL at the end of the input, which is no line.
 * x86-64 only: PT_REGS_RC names a register of struct pt_regs.
 */
#define __TARGET_ARCH_x86

#include <linux/bpf.h>

#include <asm/ptrace.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define COMMAND_LENGTH 16
#define LINE_LENGTH 128 /* of a longer line the beginning */

struct line {
	__u32 process;
	char command[COMMAND_LENGTH];
	char text[LINE_LENGTH];
};

/* Types that only local variables have are not in the BTF of an object: a pointer that nobody uses keeps this one. */
const struct line *kept __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} lines SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

const volatile _Bool through_perf;

SEC("uretprobe//bin/bash:readline")
int typed(struct pt_regs *ctx)
{
	const char *text = (const char *)PT_REGS_RC(ctx);
	struct line line = {};

	if (!text)
		return 0;
	line.process = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(line.command, sizeof(line.command));
	if (bpf_probe_read_user_str(line.text, sizeof(line.text), text) < 0)
		return 0;
	if (through_perf)
		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &line, sizeof(line));
	else
		bpf_ringbuf_output(&lines, &line, sizeof(line), 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
