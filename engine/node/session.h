#pragma once

/// Session: what one connection remembers about its client, and the commands that are about nothing
/// else: HELLO, AUTH, RESET, SELECT, most of CLIENT. Owner core only.

#include <cstdint>
#include <string>

#include "proto/command.h"
#include "proto/reply.h"

namespace kv {

struct Session {
    /// CLIENT REPLY: which of the coming requests are answered.
    enum class Replies : std::uint8_t {
        on,
        off,
        skip_next,  ///< SKIP was the last command
        skip,       ///< the command that runs is the one behind SKIP
    };

    std::uint64_t id = 0;  ///< over all cores; never used again
    std::string name;
    std::string library;
    std::string library_version;
    bool resp3 = false;
    bool cluster = false;  ///< the node is one of several
    /// READONLY: reads are answered with what the node has, which may be old.
    bool readonly = false;
    bool no_evict = false;
    bool no_touch = false;
    Replies replies = Replies::on;
    Verb last = Verb::invalid;  ///< newest command

    /// The client has asked where shards are, or said something that only a client of a Redis
    /// cluster says: it finds leaders by itself.
    void note_topology() noexcept { knows_topology_ = true; }
    bool knows_topology() const noexcept { return knows_topology_; }
    void forget_topology() noexcept { knows_topology_ = false; }

    /// Before a request runs: whether its reply is to be dropped.
    bool begin_request() noexcept {
        if (replies == Replies::skip_next) replies = Replies::skip;
        return replies != Replies::on;
    }
    void end_request() noexcept {
        if (replies == Replies::skip) replies = Replies::on;
    }

private:
    bool knows_topology_ = false;
};

/// Answers a command of class session. HELLO and RESET change the version of the protocol, in which
/// their own reply is written already.
void answer_session(const Request& request, Session& session, std::string& out);

/// What Redis calls the version whose behaviour clients may expect here.
inline constexpr std::string_view redis_version = "7.0.15";

}  // namespace kv
