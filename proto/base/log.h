#pragma once

/// The one door to logging (spdlog behind it). One line per record, logfmt:
///
///     ts=2026-11-22T16:40:12.123456Z level=info node=1 core=0 msg="..." key=value ...
///
/// The time of a record is the reactor's (set_wall_clock), so that simulated nodes log virtual
/// time. Writing is asynchronous: a reactor never blocks on a slow terminal or pipe; when the queue
/// of log_queue_records is full the oldest records are dropped and counted. Keys and values of
/// users are never logged.

#include <fmt/core.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace kv::log {

enum class Level : std::uint8_t { trace, debug, info, warn, error, critical, off };

/// Parses the seed's level names; false when the name is unknown.
bool parse_level(std::string_view name, Level& out) noexcept;

inline constexpr std::size_t log_queue_records = 8192;

/// Starts the asynchronous writer on standard error. Once, in bin/. Without it (tests), records go
/// to standard error synchronously, from level warn up.
void start(Level level, std::uint64_t node);
/// Writes what is queued and stops the writer.
void stop() noexcept;

void set_level(Level level) noexcept;
bool enabled(Level level) noexcept;

/// Wall clock used for `ts`, nanoseconds since 1970; null: the system's, read by spdlog.
using WallClock = std::int64_t (*)(void* context);
void set_wall_clock(WallClock clock, void* context) noexcept;

/// `text` is the message and its fields, already in logfmt after msg=...: use the helpers below.
void write(Level level, std::string_view text);

/// One field, ` name=value`, quoted when the value needs it.
std::string field(std::string_view name, std::string_view value);
template <typename T>
    requires std::is_arithmetic_v<T>
std::string field(std::string_view name, T value) {
    return fmt::format(" {}={}", name, value);
}

template <typename... Fields>
void record(Level level, std::string_view message, const Fields&... fields) {
    if (!enabled(level)) return;
    std::string text = field("msg", message).substr(1);
    (text.append(fields), ...);
    write(level, text);
}
template <typename... Fields>
void debug(std::string_view message, const Fields&... fields) {
    record(Level::debug, message, fields...);
}
template <typename... Fields>
void info(std::string_view message, const Fields&... fields) {
    record(Level::info, message, fields...);
}
template <typename... Fields>
void warn(std::string_view message, const Fields&... fields) {
    record(Level::warn, message, fields...);
}
template <typename... Fields>
void error(std::string_view message, const Fields&... fields) {
    record(Level::error, message, fields...);
}
template <typename... Fields>
void critical(std::string_view message, const Fields&... fields) {
    record(Level::critical, message, fields...);
}

}  // namespace kv::log
