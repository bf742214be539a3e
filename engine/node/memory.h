#pragma once

/// What the memory of a node holds, and whether it has reached limits.maxmemory.
///
/// Each core publishes what it holds when its turn ends, before any reply of that turn leaves: who
/// was told that a key is gone finds room for another. The sum over all cores counts, so that no
/// core refuses while others have room. The figures cross by relaxed atomics: a core sees those of
/// the others late by a turn of theirs, and what is under way on all of them may pass the limit.
///
/// Data are exact at the end of each turn; buffers are as of the last quarter of a second. What the
/// program is made of (code, libraries, the kernel's rings) counts in `rss` alone.

#include <atomic>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>

#include "io/event.h"
#include "io/reactor.h"
#include "proto/base/ids.h"

namespace kv {

/// Bytes.
struct MemoryFacts {
    std::uint64_t dataset = 0;   ///< blocks and indexes: what the slab has handed out
    std::uint64_t flushed = 0;   ///< of these, given up by a flush and being freed
    std::uint64_t reserved = 0;  ///< held by the slab, used or not
    std::uint64_t log = 0;       ///< batches for the log, gathering, on their way, or to be reused
    std::uint64_t pending = 0;   ///< entries that are not applied yet, or to be reused
    std::uint64_t clients = 0;   ///< connections, with their requests and replies

    std::uint64_t overhead() const noexcept { return log + pending + clients; }
    std::uint64_t used() const noexcept { return dataset + overhead(); }
    void add(const MemoryFacts& other) noexcept;
};

/// Of a node, for all its cores. Any core, but where said.
class NodeMemory {
public:
    NodeMemory(std::uint16_t cores, std::uint64_t limit) : parts_(cores), limit_(limit) {}
    NodeMemory(const NodeMemory&) = delete;

    /// At the end of each turn of `core`, on it.
    void publish(CoreId core, const MemoryFacts& facts) noexcept;
    /// Commands that may grow memory are refused.
    bool full() const noexcept { return full_.load(std::memory_order_relaxed); }

    /// 0: there is none. What is there already stays.
    void set_limit(std::uint64_t bytes) noexcept;
    std::uint64_t limit() const noexcept { return limit_.load(std::memory_order_relaxed); }

    MemoryFacts total() const noexcept;
    /// The most that used() was whenever somebody looked: INFO, and each core now and then.
    std::uint64_t note_peak() noexcept { return raise(peak_, total().used()); }
    void set_rss(std::uint64_t bytes) noexcept;
    /// As the system last said; nothing: it has not.
    std::optional<std::uint64_t> rss() const noexcept;
    std::uint64_t rss_peak() const noexcept { return rss_peak_.load(std::memory_order_relaxed); }

private:
    /// On a cache line of its own: its core writes it every turn.
    struct alignas(64) Part {
        std::atomic<std::uint64_t> dataset = 0;
        std::atomic<std::uint64_t> flushed = 0;
        std::atomic<std::uint64_t> reserved = 0;
        std::atomic<std::uint64_t> log = 0;
        std::atomic<std::uint64_t> pending = 0;
        std::atomic<std::uint64_t> clients = 0;
    };
    static std::uint64_t raise(std::atomic<std::uint64_t>& peak, std::uint64_t value) noexcept;
    void refresh() noexcept;

    std::deque<Part> parts_;  ///< by core
    std::atomic<std::uint64_t> limit_;
    std::atomic<std::uint64_t> peak_ = 0;
    std::atomic<std::uint64_t> rss_ = 0;
    std::atomic<std::uint64_t> rss_peak_ = 0;
    alignas(64) std::atomic<bool> full_ = false;
};

/// Asks the system once a second how much memory the process has, and tells `memory`. Where there
/// is no /proc it ends at once. Owner: the first core.
class RssWatch {
public:
    static constexpr Duration period = 1s;

    RssWatch(io::Reactor& reactor, NodeMemory& memory) noexcept;
    ~RssWatch();
    void start();
    io::Task<void> stop();

private:
    io::Task<void> run();
    struct WatchTimer : io::Timer {
        explicit WatchTimer(RssWatch& w) noexcept
            : Timer([](io::Timer& t) noexcept { static_cast<WatchTimer&>(t).watch.due_.set(); }),
              watch(w) {}
        RssWatch& watch;
    };

    io::Reactor& reactor_;
    NodeMemory& memory_;
    WatchTimer timer_;
    io::Event due_;
    io::Event ended_;
    bool stopping_ = false;
};

/// The pages of a process that are in memory, by the text of its /proc/PID/statm.
std::optional<std::uint64_t> resident_pages(std::string_view statm) noexcept;

}  // namespace kv
