/* An eBPF runtime behind pybpftime's line protocol: a line for each case comes in, a line for each answer goes out.
 *
 *     cc -O2 -o runtime runtime.c && pybpftime conformance run --runtime line:./runtime
 *
 * Put your runtime into `run_program`.  What it claims stands in HELLO.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Also known: features=calls,maps,... refuses=malformed,invalid shows=registers,memory,stack budget=yes */
#define HELLO "pybpftime-runtime 1 name=toy version=1.0 groups=base32 shows=memory"

enum outcome { RETURNED, TRAPPED, EXHAUSTED, REFUSED, FAILED, UNSUPPORTED };
static const char *const word[] = {"return", "trap", "exhausted", "refused", "failed", "unsupported"};

/* --- your runtime goes here ---------------------------------------------------------------------------------------
 * `code` is 8 bytes a slot.  A run begins with r1 = mem (NULL without memory) and r2 = mem_len.  `budget` is how many
 * instructions it may take, 0 when nothing is said.  Set *r0, or *message when there is no r0.
 * This toy knows two instructions: w0 = imm, and exit.
 */
static enum outcome run_program(const uint8_t *code, size_t slots, uint8_t *mem, size_t mem_len, uint64_t budget,
                                uint64_t *r0, const char **message)
{
    (void)mem, (void)mem_len, (void)budget;
    for (size_t pc = 0; pc < slots; pc++) {
        const uint8_t *slot = code + 8 * pc;
        if (slot[0] == 0x95)
            return RETURNED;
        if (slot[0] != 0xb4 || slot[1] != 0) {
            *message = "the toy knows w0 = imm and exit";
            return UNSUPPORTED;
        }
        *r0 = slot[4] | slot[5] << 8 | slot[6] << 16 | (uint32_t)slot[7] << 24;
    }
    *message = "class=instruction ran past the last instruction";
    return TRAPPED;
}

/* --- the protocol ------------------------------------------------------------------------------------------------- */

/* The bytes of `text` (hex, or "-" for none) in a new block. */
static uint8_t *from_hex(const char *text, size_t *length)
{
    *length = strcmp(text, "-") == 0 ? 0 : strlen(text) / 2;
    uint8_t *bytes = malloc(*length + 1);
    for (size_t i = 0; i < *length; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], 0};
        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return bytes;
}

static void answer(char *line)
{
    const char *id = "", *code_text = "-", *mem_text = "-", *budget_text = "0";
    int position = 0;
    for (char *field = strtok(line, " \r\n"); field; field = strtok(NULL, " \r\n"), position++) {
        if (position == 1)
            id = field;
        else if (strncmp(field, "code=", 5) == 0)
            code_text = field + 5;
        else if (strncmp(field, "mem=", 4) == 0)
            mem_text = field + 4;
        else if (strncmp(field, "budget=", 7) == 0)
            budget_text = field + 7;
    }
    size_t code_len, mem_len;
    uint8_t *code = from_hex(code_text, &code_len), *mem = from_hex(mem_text, &mem_len);
    uint64_t r0 = 0;
    const char *message = "";
    enum outcome outcome = run_program(code, code_len / 8, mem_len ? mem : NULL, mem_len,
                                       strtoull(budget_text, NULL, 10), &r0, &message);
    printf("%s %s", id, word[outcome]);
    if (outcome == RETURNED) {
        printf(" r0=0x%llx mem=%s", (unsigned long long)r0, mem_len ? "" : "-");
        for (size_t i = 0; i < mem_len; i++)
            printf("%02x", mem[i]);
    } else {
        printf(" %s", message);
    }
    printf("\n");
    fflush(stdout);
    free(code);
    free(mem);
}

int main(void)
{
    char *line = NULL;
    size_t capacity = 0;
    printf(HELLO "\n");
    fflush(stdout);
    while (getline(&line, &capacity, stdin) > 0)
        answer(line);
    free(line);
    return 0;
}
