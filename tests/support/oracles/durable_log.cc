#include "tests/support/oracles/durable_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "engine/wal/segment.h"
#include "io/sim/sim_file.h"
#include "proto/base/checksum.h"
#include "proto/command_codec.h"

namespace kv::sim {

namespace {

std::uint64_t hash_of(GroupId group, LogPosition position) {
    return mix_seed(mix_seed(group.value(), position.term.value()), position.index.value());
}

std::uint64_t hash_of(std::string_view key, std::string_view value) {
    return mix_seed(checksum(as_bytes(key)), checksum(as_bytes(value)));
}

}  // namespace

void DurableLog::refresh(const io::SimDisk& disk, std::string_view wal_directory) {
    for (const auto& [name, file] : disk.durable_files(wal_directory)) {
        if (wal::SegmentFile::parse(name)) read(*file, files_[name]);
    }
}

void DurableLog::read(const io::SimFile& file, File& known) {
    // A file is used for one segment after the other. Most looks find the header of the last one.
    std::vector<std::byte>& bytes = buffer_;
    bytes.resize(known.header.size());
    if (file.read_durable(0, bytes) < bytes.size()) return;
    if (!std::ranges::equal(bytes, known.header)) {
        bytes.resize(wal::segment_header_bytes);
        if (file.read_durable(0, bytes) < bytes.size()) return;
        const auto header = wal::decode_segment_header(bytes);
        if (!header) return;
        known = {header->segment, header->store, {}, wal::segment_header_bytes};
        std::copy_n(bytes.begin(), known.header.size(), known.header.begin());
    }
    for (;;) {
        bytes.resize(io::block_bytes);
        if (file.read_durable(known.read, bytes) < bytes.size()) return;
        const auto batch = wal::decode_batch_header(bytes, known.store, known.read);
        if (!batch || batch->segment != known.segment) return;
        bytes.resize(batch->total_bytes());
        if (file.read_durable(known.read, bytes) < bytes.size()) return;
        const auto payload = wal::decode_batch_payload(bytes, *batch, known.read);
        if (!payload) return;
        Bytes rest = *payload;
        wal::Record record;
        while (!rest.empty() && wal::take_record(rest, record)) take(record);
        known.read += batch->total_bytes();
    }
}

void DurableLog::take(const wal::Record& record) {
    switch (record.kind) {
        case wal::RecordKind::entries: return take_entries(record);
        case wal::RecordKind::hard_state: {
            const auto state = decode_hard_state(record.payload);
            if (!state) return;
            Term& newest = terms_[record.group];
            newest = std::max(newest, state->term);
            if (state->vote.value() == 0) return;
            const auto [vote, first] = votes_.try_emplace({record.group, state->term}, state->vote);
            if (!first && vote->second != state->vote) {
                two_votes_ =
                    fmt::format("group {}: voted for n{} and n{} in term {}", record.group.value(),
                                vote->second.value(), state->vote.value(), state->term.value());
            }
            return;
        }
        case wal::RecordKind::snapshot_mark:
        case wal::RecordKind::log_reset: {
            if (record.payload.size() < 16) return;
            Index& covered = covered_[record.group];
            covered = std::max(covered, Index(load_le<std::uint64_t>(record.payload.data())));
            return;
        }
    }
}

void DurableLog::take_entries(const wal::Record& record) {
    Bytes rest = record.payload;
    while (!rest.empty()) {
        const auto entry = decode_entry(rest, record.group);
        if (!entry) return;
        rest = rest.subspan(entry->bytes.size());
        positions_.insert(hash_of(record.group, {entry->term, entry->index}));
        if (entry->kind != EntryKind::commands) continue;
        Bytes commands = entry->payload;
        while (!commands.empty()) {
            Command command;
            const auto taken = decode_command(commands, command);
            if (!taken) break;
            if (command.kind == CommandKind::put) puts_.insert(hash_of(command.key, command.value));
            commands = commands.subspan(*taken);
        }
    }
}

bool DurableLog::holds(GroupId group, LogPosition position) const {
    const auto covered = covered_.find(group);
    if (covered != covered_.end() && position.index <= covered->second) return true;
    return positions_.contains(hash_of(group, position));
}

bool DurableLog::holds_put(std::string_view key, std::string_view value) const {
    return puts_.contains(hash_of(key, value));
}

Term DurableLog::term(GroupId group) const {
    const auto found = terms_.find(group);
    return found == terms_.end() ? Term() : found->second;
}

bool DurableLog::remembered(GroupId group, Term term, NodeId vote) const {
    if (term < this->term(group)) return false;
    const auto found = votes_.find({group, term});
    return found == votes_.end() || found->second == vote;
}

bool DurableLog::voted(GroupId group, Term term, NodeId vote) const {
    const auto found = votes_.find({group, term});
    return found != votes_.end() && found->second == vote;
}

}  // namespace kv::sim
