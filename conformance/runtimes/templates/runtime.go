// An eBPF runtime behind pybpftime's line protocol: a line for each case comes in, a line for each answer goes out.
//
//	go build -o runtime runtime.go && pybpftime conformance run --runtime line:./runtime
//
// Put your runtime into runProgram.  What it claims stands in hello.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Also known: features=calls,maps,... refuses=malformed,invalid shows=registers,memory,stack budget=yes
const hello = "pybpftime-runtime 1 name=toy version=1.0 groups=base32 shows=memory"

// --- your runtime goes here -----------------------------------------------------------------------------------------

// runProgram gives r0 of a program of 8 bytes a slot, or an error whose text begins with what there is instead: trap,
// exhausted, refused, failed or unsupported.  A run begins with r1 = address of mem (0 without memory) and r2 = its
// length; what it leaves in mem is shown.  budget is how many instructions it may take, 0 when nothing is said.
// This toy knows two of them: w0 = imm, and exit.
func runProgram(code, mem []byte, budget uint64) (uint64, error) {
	var r0 uint64
	for ; len(code) >= 8; code = code[8:] {
		switch {
		case code[0] == 0x95:
			return r0, nil
		case code[0] == 0xb4 && code[1] == 0:
			r0 = uint64(binary.LittleEndian.Uint32(code[4:]))
		default:
			return 0, fmt.Errorf("unsupported the toy knows w0 = imm and exit")
		}
	}
	return 0, fmt.Errorf("trap class=instruction ran past the last instruction")
}

// --- the protocol ---------------------------------------------------------------------------------------------------

func fromHex(text string) []byte {
	bytes, err := hex.DecodeString(strings.TrimPrefix(text, "-"))
	if err != nil {
		return nil
	}
	return bytes
}

func toHex(bytes []byte) string {
	if len(bytes) == 0 {
		return "-"
	}
	return hex.EncodeToString(bytes)
}

func answer(line string) string {
	id, fields := "", map[string]string{}
	for position, word := range strings.Fields(line) {
		if key, value, found := strings.Cut(word, "="); found {
			fields[key] = value
		} else if position == 1 {
			id = word
		}
	}
	mem := fromHex(fields["mem"])
	budget, _ := strconv.ParseUint(fields["budget"], 10, 64) // "-" is 0
	r0, err := runProgram(fromHex(fields["code"]), mem, budget)
	if err != nil {
		return fmt.Sprintf("%s %s", id, err)
	}
	return fmt.Sprintf("%s return r0=%#x mem=%s", id, r0, toHex(mem))
}

func main() {
	fmt.Println(hello)
	reader := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Println(answer(line))
	}
}
