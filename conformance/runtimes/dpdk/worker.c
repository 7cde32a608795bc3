// DPDK's BPF library as a runtime of the conformance suite: speaks the line protocol of
// docs/reference/runtime-protocol.md on standard input and output.
//
//     worker interpreter|jit
//
// DPDK has no second argument, so a program begins with `r2 = length of the memory`.  A program with legacy packet
// access gets the memory as the data of an mbuf.  DPDK executes without a budget: its verifier refuses every loop.

#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_bpf.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_version.h>

enum { SLOT = 8, PREFIX = 1, MOV64_IMM = 0xb7, CLASS_LD = 0, MODE = 0xe0, CLASS = 0x07, ABS = 0x20, IND = 0x40 };

struct bytes {
    uint8_t *data;
    size_t length;
};

static int digit(char character) {
    const char *digits = "0123456789abcdef", *found = character ? strchr(digits, character) : NULL;
    return found ? (int)(found - digits) : -1;
}

// The bytes that `text` writes in hexadecimal; false when it is none.  `room` bytes in front of them are left free.
static bool from_hex(const char *text, size_t room, struct bytes *bytes) {
    size_t length = strlen(text);
    if (length % 2)
        return false;
    bytes->length = length / 2;
    bytes->data = calloc(room + bytes->length + 1, 1);
    if (!bytes->data)
        abort();
    for (size_t index = 0; index < bytes->length; index++) {
        int high = digit(text[2 * index]), low = digit(text[2 * index + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes->data[room + index] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool reads_packet(const struct ebpf_insn *program, size_t slots) {
    for (size_t slot = 0; slot < slots; slot++) {
        uint8_t mode = program[slot].code & MODE;
        if ((program[slot].code & CLASS) == CLASS_LD && (mode == ABS || mode == IND))
            return true;
    }
    return false;
}

// What the library logged, as one line.
static const char *logged(FILE *stream, char **text) {
    fflush(stream);
    for (char *at = *text; at && *at; at++)
        if (*at == '\n')
            *at = at[1] ? ';' : '\0';
    return *text && **text ? *text : "not loaded, and no reason given";
}

static void print_hex(const char *name, const struct bytes *bytes) {
    printf(" %s=", name);
    for (size_t index = 0; index < bytes->length; index++)
        printf("%02x", bytes->data[index]);
}

// Run a loaded program and print what it returns; the memory too, where it had some.
static void run(const char *id, const struct rte_bpf *bpf, uint64_t (*function)(void *), void *argument,
                const struct bytes *memory) {
    uint64_t r0 = function ? function(argument) : rte_bpf_exec(bpf, argument);
    printf("%s return r0=0x%llx", id, (unsigned long long)r0);
    if (memory->data)
        print_hex("mem", memory);
    printf("\n");
}

// The same in a process of its own: wrong native code must not be the end, or the confusion, of what runs later.
static void run_native(const char *id, const struct rte_bpf *bpf, void *argument, const struct bytes *memory) {
    struct rte_bpf_jit native = {0};
    if (rte_bpf_get_jit(bpf, &native) || !native.func) {
        printf("%s unsupported there is no native code for this program\n", id);
        return;
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(id, bpf, native.func, argument, memory);
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0)
        printf("%s failed there is no process for it\n", id);
    else if (WIFSIGNALED(status))
        kill(getpid(), WTERMSIG(status));
    else if (WEXITSTATUS(status))
        printf("%s failed exit code %d\n", id, WEXITSTATUS(status));
}

static void load_and_run(const char *id, bool jit, struct bytes *code, struct bytes *memory) {
    struct ebpf_insn *program = (struct ebpf_insn *)(void *)code->data;
    size_t slots = PREFIX + code->length / SLOT;
    program[0] = (struct ebpf_insn){.code = MOV64_IMM, .dst_reg = EBPF_REG_2, .imm = (int32_t)memory->length};

    struct rte_mbuf packet = {.buf_addr = memory->data, .nb_segs = 1};
    packet.buf_len = packet.data_len = (uint16_t)memory->length;
    packet.pkt_len = (uint32_t)memory->length;
    bool has_packet = reads_packet(program, slots);
    struct rte_bpf_prm parameters = {
        .ins = program,
        .nb_ins = (uint32_t)slots,
        .prog_arg = has_packet     ? (struct rte_bpf_arg){RTE_BPF_ARG_PTR_MBUF, sizeof packet, memory->length}
                    : memory->data ? (struct rte_bpf_arg){RTE_BPF_ARG_PTR, memory->length, 0}
                                   : (struct rte_bpf_arg){RTE_BPF_ARG_RAW, sizeof(uint64_t), 0},
    };

    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    rte_openlog_stream(stream);
    struct rte_bpf *bpf = rte_bpf_load(&parameters);
    void *argument = has_packet ? (void *)&packet : memory->data;
    if (bpf && jit)
        run_native(id, bpf, argument, memory);
    else if (bpf)
        run(id, bpf, NULL, argument, memory);
    else
        printf("%s refused %s\n", id, logged(stream, &text));
    rte_bpf_destroy(bpf);
    rte_openlog_stream(stderr);
    fclose(stream);
    free(text);
}

// One request: `run ID code=HEX mem=HEX|- budget=N|-`.
static void answer(char *line, bool jit) {
    char *save = NULL, *word = strtok_r(line, " \n", &save), *id = strtok_r(NULL, " \n", &save);
    struct bytes code = {0}, memory = {0};
    bool good = word && id && !strcmp(word, "run");
    while (good && (word = strtok_r(NULL, " \n", &save))) {
        if (!strncmp(word, "code=", 5))
            good = from_hex(word + 5, PREFIX * SLOT, &code);
        else if (!strncmp(word, "mem=", 4) && strcmp(word + 4, "-"))
            good = from_hex(word + 4, 0, &memory);
    }
    if (!good || !code.data)
        printf("%s failed the request is not understood\n", id ? id : "?");
    else if (code.length % SLOT)
        printf("%s refused %zu bytes are no program\n", id, code.length);
    else
        load_and_run(id, jit, &code, &memory);
    fflush(stdout);
    free(code.data);
    free(memory.data);
}

int main(int argc, char **argv) {
    bool jit = argc > 1 && !strcmp(argv[1], "jit");
    if (argc != 2 || (!jit && strcmp(argv[1], "interpreter"))) {
        fprintf(stderr, "usage: %s interpreter|jit\n", argv[0]);
        return 2;
    }
    printf("pybpftime-runtime 1 name=dpdk-%s version=%u.%02u.%u groups=base64,divmul64,atomic64,packet refuses=malformed,invalid "
           "shows=memory\n", jit ? "jit" : "interpreter", RTE_VER_YEAR, RTE_VER_MONTH, RTE_VER_MINOR);
    fflush(stdout);
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0)
        answer(line, jit);
    free(line);
    return 0;
}
