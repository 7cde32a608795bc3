//! An eBPF runtime behind pybpftime's line protocol: a line for each case comes in, a line for each answer goes out.
//!
//!     rustc -O runtime.rs && pybpftime conformance run --runtime line:./runtime
//!
//! Put your runtime into `run_program`.  What it claims stands in HELLO.

use std::io::{self, BufRead, Write};

// Also known: features=calls,maps,... refuses=malformed,invalid shows=registers,memory,stack budget=yes
const HELLO: &str = "pybpftime-runtime 1 name=toy version=1.0 groups=base32 shows=memory";

/// Why there is no r0, each with a message.
#[allow(dead_code)]
enum NoResult {
    Trap(String),
    Exhausted(String),
    Refused(String),
    Failed(String),
    Unsupported(String),
}

// --- your runtime goes here -----------------------------------------------------------------------------------------

/// r0 of a program of 8 bytes a slot.  A run begins with r1 = address of `mem` (0 without memory) and r2 = its length;
/// what it leaves in `mem` is shown.  `budget` is how many instructions it may take.
/// This toy knows two of them: w0 = imm, and exit.
fn run_program(code: &[u8], _mem: &mut [u8], _budget: Option<u64>) -> Result<u64, NoResult> {
    let mut r0 = 0;
    for slot in code.chunks_exact(8) {
        match (slot[0], slot[1]) {
            (0x95, _) => return Ok(r0),
            (0xb4, 0) => r0 = u64::from(u32::from_le_bytes([slot[4], slot[5], slot[6], slot[7]])),
            _ => return Err(NoResult::Unsupported("the toy knows w0 = imm and exit".into())),
        }
    }
    Err(NoResult::Trap("class=instruction ran past the last instruction".into()))
}

// --- the protocol ---------------------------------------------------------------------------------------------------

fn from_hex(text: &str) -> Vec<u8> {
    let digits = if text == "-" { "" } else { text };
    (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap_or(0)).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".into() } else { bytes.iter().map(|byte| format!("{byte:02x}")).collect() }
}

fn answer(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let id = words.get(1).unwrap_or(&"");
    let field = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)).unwrap_or("-");
    let code = from_hex(field("code="));
    let mut mem = from_hex(field("mem="));
    match run_program(&code, &mut mem, field("budget=").parse().ok()) {
        Ok(r0) => format!("{id} return r0={r0:#x} mem={}", to_hex(&mem)),
        Err(NoResult::Trap(message)) => format!("{id} trap {message}"),
        Err(NoResult::Exhausted(message)) => format!("{id} exhausted {message}"),
        Err(NoResult::Refused(message)) => format!("{id} refused {message}"),
        Err(NoResult::Failed(message)) => format!("{id} failed {message}"),
        Err(NoResult::Unsupported(message)) => format!("{id} unsupported {message}"),
    }
}

fn main() -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{HELLO}")?;
    output.flush()?;
    for line in io::stdin().lock().lines() {
        writeln!(output, "{}", answer(&line?))?;
        output.flush()?;
    }
    Ok(())
}
