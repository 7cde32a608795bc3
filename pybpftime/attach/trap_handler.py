"""The SIGTRAP handler that lives in the target: what happens at a probe when nobody traces any more.

While the tracer lives it consumes the trap of every probe, and this code never runs.  Once the tracer was killed the
kernel delivers the trap: the handler looks the address up in the records of the areas (`area`) and sends the thread to
the out-of-line copy.  A thread whose trap the tracer had just answered, when it was killed, stands in its copy already.
A SIGTRAP that is not a probe's goes to the handler that the target had, or does what its default
action does.

x86-64 machine code for the start of an area, at offset HANDLER.  It keeps to the calling convention of a signal handler
(rdi signal, rsi siginfo_t, rdx ucontext_t) and needs no relocation.  A test disassembles it and compares the comments.
"""

from __future__ import annotations

from typing import Final

HANDLER: Final = 0x100  # offset in the area

# Offsets in an area that the code below uses; `area` writes them.
COUNT: Final = 0x14  # u32: records that count
NEXT: Final = 0x18  # u64: the next area, or 0
LENGTH: Final = 0x20  # u64: bytes of the area
OLD_ACTION: Final = 0x28  # struct kernel_sigaction: what SIGTRAP did before
DEFAULT_ACTION: Final = 0x60  # struct kernel_sigaction of zeros: SIG_DFL
RECORDS: Final = 0x1000
RECORD_SIZE: Final = 0x20  # u64: address behind the int3; u64: address of the copy; ...

_LISTING: Final = """
handler:
f3 0f 1e fa            endbr64
48 8d 0d f5 fe ff ff   lea rcx, [rip - 0x10b]          ; the area itself
81 7e 08 80 00 00 00   cmp dword ptr [rsi + 8], 0x80   ; si_code SI_KERNEL: an int3, not a kill
75 38                  jne 0x14c                       ; other
48 8b 82 a8 00 00 00   mov rax, qword ptr [rdx + 0xa8] ; uc_mcontext.gregs[REG_RIP]
area:
49 89 c2               mov r10, rax
49 29 ca               sub r10, rcx
4c 3b 51 20            cmp r10, qword ptr [rcx + 0x20] ; LENGTH: the tracer had sent the thread to its copy
72 40                  jb 0x167                        ; done
44 8b 41 14            mov r8d, dword ptr [rcx + 0x14] ; COUNT
4c 8d 89 00 10 00 00   lea r9, [rcx + 0x1000]          ; RECORDS
record:
41 83 e8 01            sub r8d, 1
72 0b                  jb 0x143                        ; next_area
49 3b 01               cmp rax, qword ptr [r9]
74 62                  je 0x19f                        ; found
49 83 c1 20            add r9, 0x20                    ; RECORD_SIZE
eb ef                  jmp 0x132                       ; record
next_area:
48 8b 49 18            mov rcx, qword ptr [rcx + 0x18] ; NEXT
48 85 c9               test rcx, rcx
75 cf                  jne 0x11b                       ; area
other:
48 8d 0d ad fe ff ff   lea rcx, [rip - 0x153]          ; the area itself
48 8b 41 28            mov rax, qword ptr [rcx + 0x28] ; OLD_ACTION.sa_handler
48 83 f8 01            cmp rax, 1                      ; SIG_IGN
74 04                  je 0x161                        ; ignored
72 09                  jb 0x168                        ; default
ff e0                  jmp rax
ignored:
83 7e 08 00            cmp dword ptr [rsi + 8], 0      ; si_code > 0: the cpu's, which cannot be ignored
7f 01                  jg 0x168                        ; default
done:
c3                     ret
default:
bf 05 00 00 00         mov edi, 5                      ; SIGTRAP
48 8d 71 60            lea rsi, [rcx + 0x60]           ; DEFAULT_ACTION
31 d2                  xor edx, edx
41 ba 08 00 00 00      mov r10d, 8
b8 0d 00 00 00         mov eax, 0xd                    ; rt_sigaction
0f 05                  syscall
b8 27 00 00 00         mov eax, 0x27                   ; getpid
0f 05                  syscall
89 c7                  mov edi, eax
b8 ba 00 00 00         mov eax, 0xba                   ; gettid
0f 05                  syscall
89 c6                  mov esi, eax
ba 05 00 00 00         mov edx, 5                      ; SIGTRAP
b8 ea 00 00 00         mov eax, 0xea                   ; tgkill
0f 05                  syscall
c3                     ret
found:
49 8b 41 08            mov rax, qword ptr [r9 + 8]     ; the copy
48 89 82 a8 00 00 00   mov qword ptr [rdx + 0xa8], rax
c3                     ret
restorer:
b8 0f 00 00 00         mov eax, 0xf                    ; rt_sigreturn
0f 05                  syscall
"""

_BYTES: Final = 23  # columns of the listing that hold bytes


def _assemble() -> tuple[bytes, dict[str, int]]:
    """The bytes of the listing, and where its labels are from the start of an area."""
    code, labels = bytearray(), {}
    for line in _LISTING.strip().splitlines():
        if line.endswith(":"):
            labels[line[:-1]] = HANDLER + len(code)
        else:
            code += bytes.fromhex(line[:_BYTES])
    return bytes(code), labels


CODE, LABELS = _assemble()
RESTORER: Final = LABELS["restorer"]
