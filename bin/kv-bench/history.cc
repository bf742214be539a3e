#include "bin/kv-bench/history.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

#include "bin/kv-bench/error_class.h"

namespace kv::bench {

namespace {

constexpr std::size_t buffered_bytes_max = 64u << 10;

client::Mode mode_of(Wire wire) noexcept {
    switch (wire) {
        case Wire::binary: return client::Mode::binary;
        case Wire::resp: return client::Mode::resp;
        case Wire::text: break;
    }
    return client::Mode::text;
}

std::string text_field(std::string_view text) {
    std::string out = "=";
    for (const char c : text) {
        if (c >= '!' && c <= '~' && c != '%') {
            out += c;
        } else {
            fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

std::string result_field(Operation operation, const client::Reply& reply) {
    switch (reply.kind) {
        case client::ReplyKind::ok: return "+";
        case client::ReplyKind::deleted: return ":1";
        case client::ReplyKind::absent: return operation == Operation::del ? ":0" : "_";
        case client::ReplyKind::integer: return fmt::format(":{}", reply.integer);
        case client::ReplyKind::status:
            if (reply.text == "OK") return "+";
            break;
        case client::ReplyKind::pong:
        case client::ReplyKind::value:
        case client::ReplyKind::error:
        case client::ReplyKind::redirect:
        case client::ReplyKind::keys:
        case client::ReplyKind::array:
        // Of RESP3, which this client does not ask for.
        case client::ReplyKind::boolean:
        case client::ReplyKind::real:
        case client::ReplyKind::big_number:
        case client::ReplyKind::verbatim:
        case client::ReplyKind::map:
        case client::ReplyKind::set:
        case client::ReplyKind::push:
        case client::ReplyKind::attribute: break;
    }
    return text_field(reply.text);
}

std::string argument_field(Operation operation, const std::string& value) {
    switch (operation) {
        case Operation::set: return text_field(value);
        case Operation::incr: return ":1";
        case Operation::get:
        case Operation::del: break;
    }
    return "-";
}

}  // namespace

HistoryFile::~HistoryFile() {
    if (file_ != nullptr) std::fclose(file_);
}

Status HistoryFile::open(const std::string& path) {
    path_ = path;
    file_ = std::fopen(path.c_str(), "w");
    if (file_ != nullptr) return {};
    return fail(Errc::io,
                fmt::format("cannot write {}: {}", path, std::generic_category().message(errno)));
}

void HistoryFile::append(std::string_view lines) {
    const std::lock_guard lock(mutex_);
    if (std::fwrite(lines.data(), 1, lines.size(), file_) < lines.size() && error_ == 0) {
        error_ = errno;
    }
}

Status HistoryFile::close() {
    if (file_ == nullptr) return {};
    if (std::fclose(file_) != 0 && error_ == 0) error_ = errno;
    file_ = nullptr;
    if (error_ == 0) return {};
    return fail(Errc::io,
                fmt::format("{} is not whole: {}", path_, std::generic_category().message(error_)));
}

std::string_view name(OutcomeClass outcome) noexcept {
    switch (outcome) {
        case OutcomeClass::ok: return "ok";
        case OutcomeClass::not_applied: return "not_applied";
        case OutcomeClass::unknown: return "unknown";
    }
    return "";
}

OutcomeClass classify(Operation operation, const client::Reply& reply) noexcept {
    if (reply.kind == client::ReplyKind::redirect) return OutcomeClass::not_applied;
    if (reply.kind != client::ReplyKind::error) return OutcomeClass::ok;
    // A read without an answer changes nothing, whatever stopped it.
    if (operation == Operation::get) return OutcomeClass::not_applied;
    return not_applied(classify_error(reply.text)) ? OutcomeClass::not_applied
                                                   : OutcomeClass::unknown;
}

ClientHistory::ClientHistory(HistoryFile& file, std::size_t client, Wire wire)
    : file_(file), client_(client), mode_(mode_of(wire)), reader_(mode_) {}

ClientHistory::~ClientHistory() {
    file_.append(lines_);
}

void ClientHistory::sent(std::span<const Issued> issued, Instant start) {
    for (const Issued& each : issued) {
        in_flight_.push_back(
            {each.operation, std::string(each.key), std::string(each.value), start});
    }
}

bool ClientHistory::received(std::string_view bytes, Instant now) {
    reader_.append(bytes);
    for (;;) {
        const auto reply = reader_.next();
        if (!reply) return false;
        if (!reply->has_value()) return true;
        if (in_flight_.empty()) return false;
        const InFlight op = std::move(in_flight_.front());
        in_flight_.pop_front();
        const OutcomeClass outcome = classify(op.operation, **reply);
        const std::string end = fmt::format("{}", now.time_since_epoch().count());
        write(op, outcome, outcome == OutcomeClass::unknown ? "-" : end,
              outcome == OutcomeClass::ok ? result_field(op.operation, **reply) : "-");
    }
}

void ClientHistory::given_up() {
    for (const InFlight& op : in_flight_) write(op, OutcomeClass::unknown, "-", "-");
    in_flight_.clear();
    reader_ = client::ReplyReader(mode_);
}

void ClientHistory::write(const InFlight& op, OutcomeClass outcome, const std::string& end,
                          const std::string& result) {
    fmt::format_to(std::back_inserter(lines_), "{} {} {} {} {} {} {} - {} 0\n", client_,
                   op.start.time_since_epoch().count(), end, name(outcome), name(op.operation),
                   text_field(op.key), argument_field(op.operation, op.value), result);
    if (lines_.size() < buffered_bytes_max) return;
    file_.append(lines_);
    lines_.clear();
}

}  // namespace kv::bench
