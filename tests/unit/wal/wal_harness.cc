#include "tests/unit/wal/wal_harness.h"

#include <fmt/format.h>

#include <cstdlib>

#include "proto/base/log.h"
#include "proto/base/prng.h"

namespace kv::wal {

namespace {

constexpr std::size_t hard_state_bytes = 24;

std::string hard_state_payload(std::uint64_t life, std::uint64_t rotation) {
    std::string payload(hard_state_bytes, '\0');
    store_le<std::uint64_t>(payload.data(), life);
    store_le<std::uint64_t>(payload.data() + 8, rotation);
    store_le<std::uint64_t>(payload.data() + 16, mix_seed(life, rotation));
    return payload;
}

}  // namespace

io::SimKnobs calm() {
    io::SimKnobs knobs;
    knobs.disk.short_per_million = 0;
    knobs.disk.interrupted_per_million = 0;
    knobs.disk.tail_per_million = 0;
    return knobs;
}

bool sanitized() {
    static const bool set = std::getenv("KV_TEST_SANITIZED") != nullptr;
    return set;
}

WalOptions small_segments(std::uint64_t segment_bytes) {
    WalOptions options;
    options.directory = wal_directory;
    options.store = store_one;
    options.segment_bytes = segment_bytes;
    return options;
}

std::string path_of(std::string_view name) {
    return wal_directory + "/" + std::string(name);
}

std::string Written::payload() const {
    std::string out(bytes, '\0');
    store_le<std::uint64_t>(out.data(), number);
    store_le<std::uint64_t>(out.data() + 8, life);
    store_le<std::uint64_t>(out.data() + 16, bytes);
    std::uint64_t word = mix_seed(number, life);
    for (std::size_t at = written_bytes_min; at < bytes; ++at) {
        if (at % 8 == 0) word = word * 0x9e3779b97f4a7c15ull + 1;
        out[at] = static_cast<char>(word >> (8 * (at % 8)));
    }
    return out;
}

Scene::Scene(std::uint64_t seed, const io::SimKnobs& knobs, WalOptions wal_options)
    : world(seed, knobs),
      options(std::move(wal_options)),
      disk((world.add_node(n1, {"10.0.0.1"}), world.disk(n1))) {
    log::set_level(log::Level::off);  // damage is what these tests are about
    disk.make_directory(wal_directory);
}

std::string Scene::accept(const SeenList& seen) {
    std::size_t first = log.size();
    std::size_t next = 0;
    bool any = false;
    HardState newest{};
    Lsn lsn;
    for (const Seen& record : seen) {
        if (record.lsn < lsn) return "batches are out of order";
        lsn = record.lsn;
        if (record.kind == RecordKind::hard_state) {
            if (record.payload.size() != hard_state_bytes) return "a hard state of wrong size";
            const HardState state{load_le<std::uint64_t>(record.payload.data()),
                                  load_le<std::uint64_t>(record.payload.data() + 8)};
            if (record.payload != hard_state_payload(state.first, state.second) ||
                !hard_states.contains(state)) {
                return "a hard state that was never staged";
            }
            if (state < newest) return "hard states are out of order";
            newest = state;
            continue;
        }
        if (record.payload.size() < written_bytes_min) return "a record that was never staged";
        const auto number = load_le<std::uint64_t>(record.payload.data());
        if (!any) first = next = static_cast<std::size_t>(number);
        any = true;
        if (number != next) return fmt::format("record {} where {} is expected", number, next);
        if (next >= log.size()) return fmt::format("record {} was never staged", number);
        const Written& written = log[next];
        if (record.payload != written.payload() || record.group != written.group()) {
            return fmt::format("record {} is not the one that was staged", number);
        }
        ++next;
    }
    if (any && first > released) {
        return fmt::format("begins with record {}, records from {} are kept", first, released);
    }
    if (!any) next = std::min(released, log.size());
    if (next < acknowledged) {
        return fmt::format("ends before record {}, {} were acknowledged", next, acknowledged);
    }
    if (!seen.empty() && seen.front().kind != RecordKind::hard_state) {
        return "a segment does not begin with hard states";
    }
    if (newest < hard_state_kept) return "a hard state was lost";
    log.resize(next);
    acknowledged = next;
    return {};
}

std::vector<std::string> Scene::wal_files() const {
    std::vector<std::string> files;
    for (const std::string& name : disk.list(wal_directory)) {
        if (SegmentFile::parse(name)) files.push_back(path_of(name));
    }
    return files;
}

std::map<std::string, SegmentHeader> segment_headers(const Scene& scene) {
    std::map<std::string, SegmentHeader> headers;
    for (const std::string& path : scene.wal_files()) {
        const std::string content = scene.disk.visible(path).value_or("");
        if (auto header = decode_segment_header(as_bytes(content))) headers[path] = *header;
    }
    return headers;
}

// A life.

Life::Life(Scene& scene)
    : scene_(scene), options_(scene.options), process_(scene.world, n1), number_(++scene.lives) {
    options_.epoch = Epoch(number_);
}

Life::~Life() {
    process_.kill();
    wal_.reset();
}

io::Task<void> Life::run_recovery() {
    SeenSink sink;
    Result<Recovered> result = co_await wal::recover(reactor(), options_, sink);
    seen = std::move(sink.seen);
    recovered = std::move(result);
}

bool Life::recover() {
    recovered.reset();
    return process_.run(run_recovery()) && recovered.has_value();
}

io::Task<void> Life::run_open(WalPosition position) {
    Status status = co_await wal_->open(std::move(position));
    opened = std::move(status);
}

bool Life::open(WalPosition position) {
    wal_ = std::make_unique<Wal>(reactor(), options_, *this);
    reactor().add_turn_hook(*this, io::Reactor::Phase::commit);
    return process_.run(run_open(std::move(position))) && opened.has_value();
}

bool Life::start() {
    if (!recover()) return false;
    if (!*recovered) {
        ADD_FAILURE() << "life " << number_ << ": " << recovered->error().text();
        return false;
    }
    if (const std::string wrong = scene_.accept(seen); !wrong.empty()) {
        ADD_FAILURE() << "life " << number_ << ": recovery " << wrong;
        return false;
    }
    return open((*recovered)->position) && opened->has_value();
}

io::Task<void> Life::run_stop() {
    co_await wal_->stop();
}

bool Life::stop() {
    return process_.run(run_stop());
}

Ticket Life::stage(std::size_t bytes) {
    const Written written{scene_.log.size(), number_, bytes};
    scene_.log.push_back(written);
    const std::string payload = written.payload();
    const Ticket ticket = wal_->stage(RecordKind::entries, written.group(), as_bytes(payload));
    staged_.emplace_back(ticket, scene_.log.size());
    return ticket;
}

bool Life::try_stage(std::size_t bytes) {
    if (wal_->refusal(bytes)) return false;
    stage(bytes);
    return true;
}

bool Life::turn() {
    const std::uint64_t turns = reactor().counters().turns;
    reactor().want_turn();
    const auto over = [&] { return dead() || reactor().counters().turns > turns; };
    return scene_.world.run_until(over, 10s) && !dead();
}

bool Life::settle() {
    reactor().want_turn();
    const auto over = [&] {
        return dead() || !failures.empty() || scene_.acknowledged == scene_.log.size();
    };
    return scene_.world.run_until(over, 10s) && !dead() && failures.empty();
}

bool Life::pass(Duration time) {
    scene_.world.run_for(time);
    return !dead();
}

void Life::release_before(SegmentSeq first_kept) {
    const auto found = scene_.first_of_segment.find(first_kept);
    if (found == scene_.first_of_segment.end()) return;
    scene_.released = std::max(scene_.released, found->second);
    wal_->release_before(first_kept);
}

void Life::on_durable(Ticket ticket) noexcept {
    EXPECT_TRUE(failures.empty()) << "acknowledged after a failure";
    EXPECT_TRUE(durable.empty() || ticket > durable.back());
    durable.push_back(ticket);
    while (reported_ < staged_.size() && staged_[reported_].first <= ticket) {
        scene_.acknowledged = staged_[reported_].second;
        ++reported_;
    }
}

void Life::stage_rotation() noexcept {
    ++rotations;
    EXPECT_FALSE(rotated_at_.has_value());
    rotated_at_ = scene_.acknowledged;
    scene_.hard_states.insert({number_, rotations});
    const std::string payload = hard_state_payload(number_, rotations);
    for (std::uint64_t group = 1; group <= groups; ++group) {
        wal_->stage(RecordKind::hard_state, GroupId(group), as_bytes(payload));
    }
}

void Life::on_failed(const Error& error) noexcept {
    failures.push_back(error);
}

void Life::at_turn_end() {
    wal_->flush();
    if (!rotated_at_) return;
    scene_.first_of_segment[wal_->current_segment()] = *rotated_at_;
    rotated_at_.reset();
}

}  // namespace kv::wal
