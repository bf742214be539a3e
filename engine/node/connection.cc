#include "engine/node/connection.h"

#include <algorithm>
#include <utility>

#include "engine/node/router.h"
#include "engine/node/write_command.h"
#include "proto/base/log.h"
#include "proto/command_table.h"

namespace kv {

namespace {

constexpr std::size_t kept_buffer_bytes_max = std::size_t{1} << 20;

}  // namespace

Connection::Connection(Services& services, std::int32_t fd, std::string_view refusal)
    : services_(services),
      stream_(services.reactor, fd, *this),
      detector_(services.config.client.line_protocol, services.limits.inline_bytes_max),
      batch_(services.batch),
      output_(refusal),
      expected_value_bytes_(services.config.limits.value_bytes_max),
      begun_(services.reactor.now()),
      last_progress_(begun_),
      last_input_(begun_),
      finishing_(!refusal.empty()),
      refused_(!refusal.empty()) {
    session_.id = services.new_client_id();
}

void Connection::start() {
    if (!finishing_) stream_.receive();
    services_.mark(*this);
}

// --- input ---------------------------------------------------------------------------------------

void Connection::on_received(Bytes bytes) noexcept {
    services_.counters.bytes_in += bytes.size();
    last_input_ = services_.reactor.now();
    if (finishing_) return;
    if (input_.empty() && !held_back()) {
        take_input(as_text(bytes));
    } else {
        input_.append(as_text(bytes));
        if (!held_back() && input_.size() >= input_needed_) take_kept_input();
    }
    services_.mark(*this);
}

/// Parses `input`, which is all there is, and keeps what is left of it.
void Connection::take_input(std::string_view input) {
    input_needed_ = 0;
    const std::size_t consumed = parse(input);
    if (!finishing_) input_.append(input.substr(consumed));
    if (held_back()) stream_.pause();
}

/// Parses input_, and keeps what is left of it without a copy: a long request that comes in many
/// pieces must not cost its length for each of them.
void Connection::take_kept_input() {
    std::string input = std::exchange(input_, {});  // parsing may end in finish()
    input_needed_ = 0;
    const std::size_t consumed = parse(input);
    if (!finishing_) {
        input.erase(0, consumed);
        input_ = std::move(input);
    }
    if (held_back()) stream_.pause();
}

bool Connection::held_back() const noexcept {
    const Config::Client& limits = services_.config.client;
    return services_.stopping || parked_ || held_ != 0 || services_.router.congested() ||
           services_.forwarder.full() || pipeline_.size() >= limits.pipeline_max ||
           pipeline_.charge() >= limits.pipeline_bytes_max ||
           output_.size() + sending_.size() - sent_ >= limits.output_pause_bytes;
}

ParseResult Connection::next_request(std::string_view input, Request& out) {
    if (auto* parser = std::get_if<resp::RespParser>(&parser_)) {
        const ParseResult result = parser->next(input, out);
        if (session_.resp3) out.protocol = Protocol::resp3;
        return result;
    }
    if (auto* parser = std::get_if<binary::BinaryParser>(&parser_)) return parser->next(input, out);
    return std::get<text::TextParser>(parser_).next(input, out);
}

std::size_t Connection::parse(std::string_view input) {
    if (std::holds_alternative<std::monostate>(parser_)) {
        const auto family = detector_.next(input);
        if (!family) return 0;
        switch (*family) {
            case Family::text: parser_.emplace<text::TextParser>(services_.limits); break;
            case Family::binary: parser_.emplace<binary::BinaryParser>(services_.limits); break;
            case Family::resp: parser_.emplace<resp::RespParser>(services_.limits); break;
        }
    }
    std::size_t consumed = 0;
    Request request;
    while (consumed < input.size() && !held_back() && !finishing_) {
        const ParseResult result = next_request(input.substr(consumed), request);
        if (result.status == ParseStatus::need_more) {
            input_needed_ = result.needed;
            break;
        }
        consumed += result.consumed;
        if (result.status == ParseStatus::fatal) {
            execute_batch();
            // The reply waits for its turn; behind it, the connection is closed.
            request.verb = Verb::invalid;
            execute(request, 0, {});
            finish();
            break;
        }
        if (result.status != ParseStatus::request) continue;
        if (services_.loading) [[unlikely]]
            refuse_while_loading(request);
        stage(request, input);
    }
    execute_batch();
    return consumed;
}

// --- the end of a turn ---------------------------------------------------------------------------

/// Runs the request at the front, which waited until all before it were answered.
void Connection::run_parked(Slot& slot) {
    // What comes behind waits until the whole is done, too.
    if (parts_of(slot.verb, parked_args_.size()) != 0 || is_flush(slot.verb)) {
        return begin_wide(slot);
    }
    start_job(slot);
}

void Connection::release_answered() {
    while (!pipeline_.empty()) {
        Slot& slot = pipeline_.front();
        if (slot.state == Slot::State::parked) run_parked(slot);
        if (slot.state == Slot::State::wide) advance_wide(slot);
        if (slot.state != Slot::State::done) return;
        if (slot.silent) {
            // CLIENT REPLY
        } else if (slot.rendered) {
            output_.append(slot.bytes);
        } else {
            answer_outcome(slot, output_);
        }
        retire(slot);
    }
}

/// The reply of the request at the front is in the output: those that are ready behind it follow.
void Connection::retire(Slot& slot) {
    const Duration took = services_.reactor.now().time_since_epoch() - Duration(slot.begun_ns);
    services_.times.add(slot.verb, took);
    if (services_.slow_notes_left != 0 && is_slow(took, services_.config) &&
        slot.verb != Verb::invalid) [[unlikely]] {
        const std::string_view arg = slot.first_arg;
        const std::size_t shown = slot.args == 0 ? 0 : 1;
        note_slow(took, slow_words(slot.verb, Args(&arg, shown), slot.args - shown));
    }
    pipeline_.pop(output_);
}

/// The log of slow commands gets one more.
void Connection::note_slow(Duration took, std::vector<std::string> words) {
    if (services_.slow_notes_left == 0) return;
    --services_.slow_notes_left;
    SlowCommand command;
    command.unix_s = services_.reactor.wall_ns() / 1'000'000'000;
    command.took_us = took / 1us;
    command.words = std::move(words);
    command.client = services_.reactor.backend().endpoint_of(stream_.fd(), true).text();
    command.client_name = session_.name;
    services_.slowlog.add(std::move(command), services_.config.slowlog.entries_max,
                          services_.reactor.core().value(), services_.reactor.mailboxes().cores());
}

void Connection::end_turn() {
    if (closed_) return;
    if (held_ != 0) [[unlikely]]
        begin_held();
    release_answered();
    while (!input_.empty() && !finishing_ && !held_back() && input_.size() >= input_needed_) {
        const std::size_t before = input_.size();
        take_kept_input();
        release_answered();
        if (input_.size() == before) break;  // an incomplete request
    }
    if (!finishing_ && !input_ended_) {
        // Replies that became ready together may have filled the output, too.
        if (held_back()) {
            stream_.pause();
        } else if (stream_.paused()) {
            stream_.receive();
        }
    }
    flush();
    close_if_done();
}

std::size_t Connection::bytes() const noexcept {
    std::size_t bytes = sizeof(Connection) + input_.capacity() + output_.capacity() +
                        sending_.capacity() + pipeline_.bytes() + wide_.bytes;
    if (away_ != nullptr) bytes += sizeof(Away);
    for (const std::string& arg : parked_args_) bytes += sizeof(std::string) + arg.size();
    return bytes;
}

ClientInfo Connection::info(Instant now) const {
    const auto seconds = [&](Instant since) {
        return std::chrono::duration_cast<std::chrono::seconds>(now - since).count();
    };
    io::Backend& backend = services_.reactor.backend();
    ClientInfo out;
    out.id = session_.id;
    out.address = backend.endpoint_of(stream_.fd(), true).text();
    out.local_address = backend.endpoint_of(stream_.fd(), false).text();
    out.fd = stream_.fd();
    out.name = session_.name;
    out.library = session_.library;
    out.library_version = session_.library_version;
    out.age_s = seconds(begun_);
    out.idle_s = seconds(last_input_);
    out.input_bytes = input_.size();
    out.output_bytes = output_.size() + sending_.size() - sent_;
    out.waiting = pipeline_.size();
    out.last = session_.last;
    out.resp3 = session_.resp3;
    out.no_evict = session_.no_evict;
    out.no_touch = session_.no_touch;
    out.closing = finishing_ || input_ended_ || stream_.closing();
    return out;
}

void Connection::flush() {
    if (stream_.sending() || stream_.closing()) return;
    if (sent_ == sending_.size()) {
        if (output_.empty()) return;
        if (sending_.capacity() > kept_buffer_bytes_max) release(sending_);
        sending_.clear();
        sending_.swap(output_);
        sent_ = 0;
        last_progress_ = services_.reactor.now();
    }
    ++services_.counters.sends;
    stream_.send(as_bytes(std::string_view(sending_).substr(sent_)));
}

void Connection::on_sent(std::size_t bytes) noexcept {
    sent_ += bytes;
    services_.counters.bytes_out += bytes;
    last_progress_ = services_.reactor.now();
    services_.mark(*this);
}

// --- the end of a connection ---------------------------------------------------------------------

void Connection::on_ended(std::int32_t error) noexcept {
    input_ended_ = true;
    // A client may close its half and still read the replies; one that is gone will not.
    if (error != 0) {
        close();
    } else {
        services_.mark(*this);
    }
}

bool Connection::busy_since(Instant time) const noexcept {
    return last_input_ > time || !pipeline_.empty();
}

void Connection::finish() noexcept {
    finishing_ = true;
    input_.clear();
    stream_.pause();
    services_.mark(*this);
}

void Connection::close_if_done() noexcept {
    if (!finishing_ && !input_ended_) return;
    const bool input_left = !finishing_ && held_back() && !input_.empty();
    if (!pipeline_.empty() || input_left) return;
    if (!output_.empty() || sent_ != sending_.size()) return;
    if (input_ended_ || refused_) {
        close();
    } else {
        linger();
    }
}

/// To close while there is input that nobody has read would be a reset, which destroys the replies
/// that are still on their way. So the client is told of the end first, and what it sends is
/// dropped, until it closes too or is quiet.
void Connection::linger() noexcept {
    if (lingering_ || stream_.closing()) return;
    lingering_ = true;
    lingering_since_ = last_input_ = services_.reactor.now();
    stream_.end_sending();
    stream_.receive();
}

void Connection::close() noexcept {
    if (!stream_.closing()) stream_.close();
}

void Connection::on_closed() noexcept {
    closed_ = true;
    services_.on_gone(*this);
}

bool Connection::gone() const noexcept {
    return closed_ && outstanding_ == 0;
}

void Connection::check_time(Instant now) noexcept {
    const Config& config = services_.config;
    if (stream_.closing()) return;
    if (lingering_) {
        const bool over = now - lingering_since_ > linger_max;
        if (over || now - last_input_ > linger_quiet_max) close();
        return;
    }
    if (sent_ != sending_.size() && now - last_progress_ > config.client.stall_timeout) {
        ++services_.counters.connections_stalled;
        log::warn("a client takes no replies, closing its connection",
                  log::field("unsent_bytes", sending_.size() - sent_ + output_.size()));
        close();
        return;
    }
    // In the order in which they were begun.
    for (std::uint64_t number = pipeline_.head(); number != pipeline_.tail(); ++number) {
        Slot& slot = pipeline_.at(number);
        const Duration waited = now.time_since_epoch() - Duration(slot.begun_ns);
        if (waited <= config.commit_timeout) break;
        const bool writes = command_class(slot.verb) == CommandClass::write;
        if (slot.state == Slot::State::writing || slot.state == Slot::State::reading ||
            (slot.state == Slot::State::wide && writes)) {
            expire(slot);
        } else if (slot.state == Slot::State::held) {  // it is known not to have been applied
            --held_;
            refuse_for_good(slot, {});
        }
    }
}

/// Answers a request that waits for the log; what becomes of it is no longer told.
void Connection::expire(Slot& slot) {
    ++services_.counters.timeouts;
    if (slot.state == Slot::State::wide) {  // no further part is begun
        parked_ = false;
        parked_args_.clear();
    }
    slot.bytes.clear();
    ReplyWriter(slot.protocol, slot.request_id, slot.bytes).error(Errc::commit_timeout);
    slot.rendered = true;
    slot.state = Slot::State::done;
    services_.mark(*this);
}

}  // namespace kv
