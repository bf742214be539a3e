#pragma once

/// A history of operations, for a checker of linearizability. A line of text for each operation,
/// in the order in which the operations ended on their thread; ten fields with one space between:
///
///     client start end outcome kind key argument expected result revision
///
///   client    the connection's number, from 0. One that was lost and made again keeps its number.
///             A client pipelines: its operations overlap, and the server may carry them out in
///             any order that their times allow.
///   start     nanoseconds of CLOCK_MONOTONIC, read before the request was sent
///   end       the same, read after the reply was received; `-` when the outcome is unknown
///   outcome   `ok`: it took effect, once, between start and end; a get saw `result`.
///             `not_applied`: it had no effect and never will.
///             `unknown`: it may take effect at any time after start, or never: the connection was
///             lost, no reply came in time, or the error does not rule it out.
///   kind      `get`, `set`, `del` or `incr`
///   key       `=` and the key
///   argument  of set `=` and the value, which no other write of the run has; of incr `:1`; or `-`
///   expected  always `-`
///   result    of ok: `+` (set), `=` and the value, or `_` when there was none (get), `:` and the
///             new value (incr) or how many keys went (del); of the others `-`
///   revision  always `0`
///
/// In keys and values bytes outside of `!`..`~`, and `%` itself, are %XX. `#` begins a comment.
///
///     3 81234500 81239900 ok set =key:000000000007 =0001000030000000002ar5Xq - + 0
///     1 81234800 - unknown incr =cnt:000000000001 :1 - - 0

#include <cstdio>
#include <deque>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "bin/client/reply.h"
#include "bin/kv-bench/workload.h"
#include "proto/base/units.h"

namespace kv::bench {

/// The file. Used by all threads.
class HistoryFile {
public:
    HistoryFile() = default;
    HistoryFile(const HistoryFile&) = delete;
    ~HistoryFile();

    /// Errors: `io`, with file and reason.
    Status open(const std::string& path);
    void append(std::string_view lines);
    /// Errors: `io`: something could not be written.
    Status close();

private:
    std::mutex mutex_;
    std::FILE* file_ = nullptr;
    std::string path_;
    int error_ = 0;
};

enum class OutcomeClass : std::uint8_t { ok, not_applied, unknown };

std::string_view name(OutcomeClass outcome) noexcept;
/// What a reply to `operation` tells. Errors that are not known to refuse are unknown.
OutcomeClass classify(Operation operation, const client::Reply& reply) noexcept;

/// The operations of one connection: owned by its thread.
class ClientHistory {
public:
    ClientHistory(HistoryFile& file, std::size_t client, Wire wire);
    /// Hands over what is buffered.
    ~ClientHistory();

    void sent(std::span<const Issued> issued, Instant start);
    /// Replies, in any pieces. False: not of this protocol, or to nothing.
    bool received(std::string_view bytes, Instant now);
    /// No reply will come to what is in flight.
    void given_up();

private:
    struct InFlight {
        Operation operation;
        std::string key;
        std::string value;
        Instant start;
    };
    void write(const InFlight& op, OutcomeClass outcome, const std::string& end,
               const std::string& result);

    HistoryFile& file_;
    std::size_t client_;
    client::Mode mode_;
    client::ReplyReader reader_;
    std::deque<InFlight> in_flight_;  ///< at most a batch
    std::string lines_;
};

}  // namespace kv::bench
