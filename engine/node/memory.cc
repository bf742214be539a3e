#include "engine/node/memory.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "io/file.h"
#include "proto/base/integer.h"

namespace kv {

namespace {

constexpr auto relaxed = std::memory_order_relaxed;
constexpr std::size_t statm_bytes_max = 256;

}  // namespace

void MemoryFacts::add(const MemoryFacts& other) noexcept {
    dataset += other.dataset;
    flushed += other.flushed;
    reserved += other.reserved;
    log += other.log;
    pending += other.pending;
    clients += other.clients;
}

void NodeMemory::publish(CoreId core, const MemoryFacts& facts) noexcept {
    Part& part = parts_[core.value()];
    part.dataset.store(facts.dataset, relaxed);
    part.flushed.store(facts.flushed, relaxed);
    part.reserved.store(facts.reserved, relaxed);
    part.log.store(facts.log, relaxed);
    part.pending.store(facts.pending, relaxed);
    part.clients.store(facts.clients, relaxed);
    if (limit() != 0) refresh();
}

void NodeMemory::set_limit(std::uint64_t bytes) noexcept {
    limit_.store(bytes, relaxed);
    refresh();
}

/// Two cores may do this at a time, and the older sum may win: until the next turn of either.
void NodeMemory::refresh() noexcept {
    const std::uint64_t bytes_max = limit();
    const MemoryFacts all = total();
    // What a flush gave up is as good as free: it goes faster than anything new comes.
    const bool full = bytes_max != 0 && all.used() - std::min(all.flushed, all.used()) > bytes_max;
    if (full != full_.load(relaxed)) full_.store(full, relaxed);
}

MemoryFacts NodeMemory::total() const noexcept {
    MemoryFacts all;
    for (const Part& part : parts_) {
        all.add({part.dataset.load(relaxed), part.flushed.load(relaxed),
                 part.reserved.load(relaxed), part.log.load(relaxed), part.pending.load(relaxed),
                 part.clients.load(relaxed)});
    }
    return all;
}

std::uint64_t NodeMemory::raise(std::atomic<std::uint64_t>& peak, std::uint64_t value) noexcept {
    std::uint64_t before = peak.load(relaxed);
    while (before < value && !peak.compare_exchange_weak(before, value, relaxed)) continue;
    return std::max(before, value);
}

void NodeMemory::set_rss(std::uint64_t bytes) noexcept {
    rss_.store(bytes, relaxed);
    raise(rss_peak_, bytes);
}

std::optional<std::uint64_t> NodeMemory::rss() const noexcept {
    const std::uint64_t bytes = rss_.load(relaxed);
    return bytes == 0 ? std::nullopt : std::optional(bytes);
}

RssWatch::RssWatch(io::Reactor& reactor, NodeMemory& memory) noexcept
    : reactor_(reactor), memory_(memory), timer_(*this), due_(reactor), ended_(reactor) {
    ended_.set();  // it has not begun
}

RssWatch::~RssWatch() {
    reactor_.timers().disarm(timer_);
}

void RssWatch::start() {
    ended_.reset();
    reactor_.spawn(run());
}

io::Task<void> RssWatch::stop() {
    stopping_ = true;
    due_.set();
    co_await ended_.wait();
    reactor_.timers().disarm(timer_);
}

io::Task<void> RssWatch::run() {
    const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    Result<io::File> opened = co_await io::File::open(reactor_, "/proc/self/statm", 0);
    if (!opened) {
        ended_.set();
        co_return;
    }
    io::File file = *std::move(opened);
    std::array<std::byte, statm_bytes_max> bytes;
    while (!stopping_) {
        due_.reset();
        const Result<std::size_t> read = co_await file.read_at(0, bytes);
        if (!read) break;
        const auto pages = resident_pages(as_text(Bytes(bytes).first(*read)));
        if (!pages) break;
        memory_.set_rss(*pages * page_bytes);
        if (stopping_) break;
        reactor_.timers().arm(timer_, reactor_.now() + period);
        co_await due_.wait();
    }
    co_await file.close();
    ended_.set();
}

std::optional<std::uint64_t> resident_pages(std::string_view statm) noexcept {
    const std::size_t begin = statm.find(' ');
    if (begin == std::string_view::npos) return std::nullopt;
    const std::size_t end = statm.find(' ', begin + 1);
    const auto pages = parse_integer(statm.substr(begin + 1, end - begin - 1));
    if (!pages || *pages < 0) return std::nullopt;
    return static_cast<std::uint64_t>(*pages);
}

}  // namespace kv
