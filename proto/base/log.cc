#include "proto/base/log.h"

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace kv::log {

namespace {

// Process-wide, written by start() and stop() before and after the reactors run.
struct Writer {
    std::shared_ptr<spdlog::details::thread_pool> pool;
    std::shared_ptr<spdlog::logger> logger;
    Level level = Level::warn;
    WallClock clock = nullptr;
    void* clock_context = nullptr;
};

Writer& writer() {
    static Writer instance;
    return instance;
}

spdlog::level::level_enum to_spdlog(Level level) noexcept {
    return static_cast<spdlog::level::level_enum>(level);
}

constexpr auto pattern = "ts=%Y-%m-%dT%H:%M:%S.%fZ level=%l %v";

std::shared_ptr<spdlog::logger> synchronous() {
    auto logger =
        std::make_shared<spdlog::logger>("kv", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern(pattern, spdlog::pattern_time_type::utc);
    logger->set_level(spdlog::level::trace);
    return logger;
}

std::string& node_field() {
    static std::string text;
    return text;
}

}  // namespace

bool parse_level(std::string_view name, Level& out) noexcept {
    constexpr std::string_view names[] = {"trace", "debug",    "info", "warn",
                                          "error", "critical", "off"};
    for (std::size_t i = 0; i < std::size(names); ++i) {
        if (names[i] == name) {
            out = static_cast<Level>(i);
            return true;
        }
    }
    return false;
}

void start(Level level, std::uint64_t node) {
    Writer& w = writer();
    w.pool = std::make_shared<spdlog::details::thread_pool>(log_queue_records, 1);
    w.logger = std::make_shared<spdlog::async_logger>(
        "kv", std::make_shared<spdlog::sinks::stderr_sink_mt>(), w.pool,
        spdlog::async_overflow_policy::overrun_oldest);
    w.logger->set_pattern(pattern, spdlog::pattern_time_type::utc);
    w.logger->set_level(spdlog::level::trace);
    w.logger->flush_on(spdlog::level::warn);
    w.level = level;
    node_field() = fmt::format("node={} ", node);
}

void stop() noexcept {
    Writer& w = writer();
    if (w.logger) w.logger->flush();
    w.logger.reset();
    w.pool.reset();  // joins the writer after it has emptied its queue
}

void set_level(Level level) noexcept {
    writer().level = level;
}
bool enabled(Level level) noexcept {
    return level >= writer().level;
}

void set_wall_clock(WallClock clock, void* context) noexcept {
    writer().clock = clock;
    writer().clock_context = context;
}

void write(Level level, std::string_view text) {
    Writer& w = writer();
    if (!w.logger) w.logger = synchronous();
    const std::string line =
        node_field().empty() ? std::string(text) : node_field() + std::string(text);
    if (w.clock == nullptr) {
        w.logger->log(to_spdlog(level), "{}", line);
        return;
    }
    const std::chrono::nanoseconds since_epoch(w.clock(w.clock_context));
    const spdlog::log_clock::time_point time{
        std::chrono::duration_cast<spdlog::log_clock::duration>(since_epoch)};
    w.logger->log(time, spdlog::source_loc{}, to_spdlog(level), line);
}

std::string field(std::string_view name, std::string_view value) {
    const bool plain = !value.empty() && value.find_first_of(" =\"\\\n\r\t") == value.npos;
    if (plain) return fmt::format(" {}={}", name, value);
    std::string quoted;
    for (const char c : value) {
        if (c == '"' || c == '\\') quoted += '\\';
        quoted += c == '\n' || c == '\r' || c == '\t' ? ' ' : c;
    }
    return fmt::format(" {}=\"{}\"", name, quoted);
}

}  // namespace kv::log
