#pragma once

/// Stories about Raft groups, told in text files: commands for a RaftNet, one a line, and what they
/// must print. A file is a list of steps:
///
///     # Everything behind '#' is for people: the drawing, the story.
///     elect 1
///     show
///     ----
///     1  leader     t2  1 2|
///     2  follower   t2  1|2
///
/// Commands up to a line "----", then what they print, up to an empty line. Commands that print
/// nothing need no "----". Nodes are 1, 2, ...; A and B are nodes, T is a time as in "300ms".
///
///     nodes N [learners L] [seed S] [KEY VALUE ...] [slow snapshots]   begins; keys are bounds of
///                       RaftOptions: append (bytes), window (requests), cache (bytes)
///     log A TERM: ...   A starts again in TERM, with a durable log of entries of these terms
///     show [A ...]      role, term, log: [n] n entries given up, | behind what is committed,
///                       (...) not durable
///     packets           what is under way, in order
///     applied A, read A, confirmed A, leader
///     campaign A        past pre-votes; elect A: the same, and all messages arrive
///     tick A, run T, pass T (messages stay under way), settle
///     propose A TEXT, transfer A B, snapshot A
///     install A         a snapshot that was offered is complete; when snapshots are slow
///     deliver A B, lose A B   the oldest message from A to B
///     keep A B, resend  what is under way from A to B waits until "resend"
///     cut A B, isolate A, heal, disconnect A B
///     hold A, persist A [N], unhold A, stall A, unstall A    the disk of A
///     crash A [N]       keeps N records of what was not durable; restart A
///
/// A command that was refused prints "no". A fault of the net prints "FAULT" and what it is.

#include <string>

namespace kv::consensus {

/// `script` with what its commands really print.
std::string run_script(const std::string& script);

}  // namespace kv::consensus
