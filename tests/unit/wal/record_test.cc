/// The formats: batches, records, segment headers and names. What was written is read back;
/// everything else is noticed.

#include "engine/wal/record.h"

#include <gtest/gtest.h>

#include <limits>

#include "engine/wal/segment.h"
#include "proto/base/checksum.h"
#include "proto/base/prng.h"
#include "tests/unit/wal/wal_harness.h"

namespace kv::wal {
namespace {

MutableBytes bytes_of(std::string& text) {
    return {reinterpret_cast<std::byte*>(text.data()), text.size()};
}

BatchHeader sample_header(std::size_t payload_bytes, std::uint32_t records) {
    BatchHeader header;
    header.flags = batch_marker | batch_clean;
    header.store = store_one;
    header.segment = SegmentSeq(7);
    header.lsn = Lsn(1'234);
    header.synced_lsn = Lsn(1'230);
    header.epoch = Epoch(5);
    header.previous = 0xfeedfacecafebeef;
    header.payload_bytes = static_cast<std::uint32_t>(payload_bytes);
    header.records = records;
    header.first_segment = SegmentSeq(3);
    return header;
}

constexpr std::uint64_t sample_offset = 12'288;

/// A sealed batch of `payloads`, one record each.
std::string batch_of(const std::vector<std::string>& payloads) {
    std::string records;
    for (std::size_t i = 0; i < payloads.size(); ++i) {
        std::string record(record_bytes(payloads[i].size()), 'x');
        write_record(bytes_of(record), RecordKind::entries, GroupId(i + 1), as_bytes(payloads[i]));
        records += record;
    }
    const BatchHeader header =
        sample_header(records.size(), static_cast<std::uint32_t>(payloads.size()));
    std::string batch(batch_header_bytes, 'x');
    batch += records;
    batch.resize(header.total_bytes(), 'x');
    seal_batch(bytes_of(batch), header, sample_offset);
    return batch;
}

Result<Bytes> decode_whole(Bytes batch, StoreId store, std::uint64_t offset) {
    KV_TRY(const BatchHeader header, decode_batch_header(batch, store, offset));
    return decode_batch_payload(batch, header, offset);
}

TEST(WalRecord, BatchesReadBackAsTheyWereWritten) {
    Prng prng(1);
    for (int round = 0; round < 200; ++round) {
        std::vector<std::string> payloads(prng.below(6));
        for (std::string& payload : payloads) {
            payload.resize(prng.below(round % 10 == 0 ? 9'000 : 60));
            for (char& c : payload) c = static_cast<char>(prng.next());
        }
        const std::string batch = batch_of(payloads);
        EXPECT_EQ(batch.size() % io::block_bytes, 0u);
        const auto header = decode_batch_header(as_bytes(batch), store_one, sample_offset);
        ASSERT_TRUE(header.has_value());
        const BatchHeader expected = sample_header(header->payload_bytes, header->records);
        EXPECT_EQ(header->flags, expected.flags);
        EXPECT_EQ(header->store, expected.store);
        EXPECT_EQ(header->segment, expected.segment);
        EXPECT_EQ(header->lsn, expected.lsn);
        EXPECT_EQ(header->synced_lsn, expected.synced_lsn);
        EXPECT_EQ(header->epoch, expected.epoch);
        EXPECT_EQ(header->previous, expected.previous);
        EXPECT_EQ(header->first_segment, expected.first_segment);
        EXPECT_EQ(header->records, payloads.size());
        EXPECT_EQ(header->checksum, load_le<std::uint64_t>(batch.data() + 88));
        auto payload = decode_batch_payload(as_bytes(batch), *header, sample_offset);
        ASSERT_TRUE(payload.has_value());
        for (std::size_t i = 0; i < payloads.size(); ++i) {
            Record record;
            ASSERT_TRUE(take_record(*payload, record).has_value());
            EXPECT_EQ(record.kind, RecordKind::entries);
            EXPECT_EQ(record.group, GroupId(i + 1));
            EXPECT_EQ(as_text(record.payload), payloads[i]);
        }
        EXPECT_TRUE(payload->empty());
    }
}

TEST(WalRecord, EveryFlippedBitOfABatchIsNoticed) {
    std::string batch = batch_of({"one", std::string(5'000, 'q'), ""});
    for (std::size_t bit = 0; bit < batch.size() * 8; ++bit) {
        batch[bit / 8] ^= static_cast<char>(1 << (bit % 8));
        EXPECT_FALSE(decode_whole(as_bytes(batch), store_one, sample_offset).has_value()) << bit;
        if (bit < batch_header_bytes * 8) {
            const auto header = decode_batch_header(as_bytes(batch), store_one, sample_offset);
            ASSERT_FALSE(header.has_value()) << bit;
            EXPECT_EQ(header.error().code, Errc::corrupt);
        }
        batch[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    }
    EXPECT_TRUE(decode_whole(as_bytes(batch), store_one, sample_offset).has_value());
}

TEST(WalRecord, ABatchIsValidOnlyInItsPlace) {
    std::string batch = batch_of({"text"});
    EXPECT_TRUE(decode_whole(as_bytes(batch), store_one, sample_offset).has_value());
    EXPECT_FALSE(decode_whole(as_bytes(batch), store_two, sample_offset).has_value());
    for (std::uint64_t offset = 0; offset < 1 << 20; offset += io::block_bytes) {
        EXPECT_EQ(decode_whole(as_bytes(batch), store_one, offset).has_value(),
                  offset == sample_offset);
    }
    for (std::uint64_t segment = 0; segment < 1'000; ++segment) {
        store_le<std::uint64_t>(batch.data() + 24, segment);
        EXPECT_EQ(decode_whole(as_bytes(batch), store_one, sample_offset).has_value(),
                  segment == 7);
    }
}

TEST(WalRecord, ATruncationAnywhereIsNoticed) {
    const std::string batch = batch_of({std::string(6'000, 'q'), "x"});
    for (std::size_t bytes = 0; bytes < batch.size(); ++bytes) {
        const std::string cut = batch.substr(0, bytes);  // a block of its own: sanitizers see reads
        const auto whole = decode_whole(as_bytes(cut), store_one, sample_offset);
        ASSERT_FALSE(whole.has_value()) << bytes;
        EXPECT_EQ(whole.error().code, Errc::truncated);
    }
}

TEST(WalRecord, ARecordThatIsCutOffIsNoticed) {
    std::string record(record_bytes(37), 'x');
    write_record(bytes_of(record), RecordKind::hard_state, GroupId(9),
                 as_bytes(std::string(37, 'p')));
    for (std::size_t bytes = 0; bytes < record.size(); ++bytes) {
        const std::string cut = record.substr(0, bytes);
        Bytes rest = as_bytes(cut);
        Record out;
        const Status taken = take_record(rest, out);
        ASSERT_FALSE(taken.has_value()) << bytes;
        EXPECT_EQ(taken.error().code, Errc::corrupt);
    }
    store_le<std::uint32_t>(record.data(), std::numeric_limits<std::uint32_t>::max());
    Bytes rest = as_bytes(record);
    Record out;
    EXPECT_FALSE(take_record(rest, out).has_value());
}

TEST(WalRecord, UnknownKindsVersionsAndFlagsAreUnsupported) {
    for (int at = 4; at < 8; ++at) {
        for (int value = 0; value < 256; ++value) {
            std::string record(record_bytes(5), 'x');
            write_record(bytes_of(record), RecordKind::log_reset, GroupId(77), as_bytes("12345"));
            record[static_cast<std::size_t>(at)] = static_cast<char>(value);
            const bool known =
                at == 4 ? value >= 1 && value <= 4 : value == (at == 5 ? record_version : 0);
            Bytes rest = as_bytes(record);
            Record out;
            const Status taken = take_record(rest, out);
            EXPECT_EQ(taken.has_value(), known) << at << " " << value;
            EXPECT_EQ(out.group, GroupId(77));
            if (!known) {
                EXPECT_EQ(taken.error().code, Errc::unsupported);
            }
        }
    }
}

TEST(WalRecord, UnknownVersionsAndFlagsOfABatchAreUnsupported) {
    const std::uint64_t seed =
        mix_seed(mix_seed(store_one.high, store_one.low), mix_seed(7, sample_offset));
    for (const auto& [at, value, known] : {std::tuple{4u, 1, true},
                                           {4u, 2, false},
                                           {4u, 0, false},
                                           {6u, 0, true},
                                           {6u, 1, true},
                                           {6u, 3, true},
                                           {6u, 4, false},
                                           {6u, 0x8000, false}}) {
        std::string batch = batch_of({"text"});
        store_le<std::uint16_t>(batch.data() + at, static_cast<std::uint16_t>(value));
        store_le<std::uint64_t>(batch.data() + 88, checksum(as_bytes(batch).first(88), seed));
        const auto header = decode_batch_header(as_bytes(batch), store_one, sample_offset);
        EXPECT_EQ(header.has_value(), known) << at << " " << value;
        if (!header) {
            EXPECT_EQ(header.error().code, Errc::unsupported);
        }
    }
}

// Segments.

SegmentHeader sample_segment() {
    SegmentHeader header;
    header.store = store_one;
    header.core = 3;
    header.generation = 9;
    header.segment = SegmentSeq(41);
    header.first_lsn = Lsn(1'000'000'007);
    header.epoch = Epoch(12);
    header.predecessor = SegmentSeq(39);
    header.predecessor_end = 65'536;
    header.previous = 0x0102030405060708;
    header.first_segment = SegmentSeq(30);
    header.segment_bytes = 1 << 26;
    return header;
}

TEST(WalSegment, HeadersReadBackAsTheyWereWritten) {
    std::string block(segment_header_bytes, 'x');
    encode_segment_header(sample_segment(), bytes_of(block));
    const auto header = decode_segment_header(as_bytes(block));
    ASSERT_TRUE(header.has_value());
    const SegmentHeader expected = sample_segment();
    EXPECT_EQ(header->store, expected.store);
    EXPECT_EQ(header->core, expected.core);
    EXPECT_EQ(header->generation, expected.generation);
    EXPECT_EQ(header->segment, expected.segment);
    EXPECT_EQ(header->first_lsn, expected.first_lsn);
    EXPECT_EQ(header->epoch, expected.epoch);
    EXPECT_EQ(header->predecessor, expected.predecessor);
    EXPECT_EQ(header->predecessor_end, expected.predecessor_end);
    EXPECT_EQ(header->previous, expected.previous);
    EXPECT_EQ(header->first_segment, expected.first_segment);
    EXPECT_EQ(header->segment_bytes, expected.segment_bytes);
}

TEST(WalSegment, EveryFlippedBitAndEveryTruncationOfAHeaderIsNoticed) {
    std::string block(segment_header_bytes, 'x');
    encode_segment_header(sample_segment(), bytes_of(block));
    for (std::size_t bit = 0; bit < block.size() * 8; ++bit) {
        block[bit / 8] ^= static_cast<char>(1 << (bit % 8));
        const auto header = decode_segment_header(as_bytes(block));
        ASSERT_FALSE(header.has_value()) << bit;
        EXPECT_EQ(header.error().code, Errc::corrupt);
        block[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    }
    for (std::size_t bytes = 0; bytes < block.size(); ++bytes) {
        const std::string cut = block.substr(0, bytes);
        const auto header = decode_segment_header(as_bytes(cut));
        ASSERT_FALSE(header.has_value());
        EXPECT_EQ(header.error().code, Errc::truncated);
    }
}

TEST(WalSegment, NamesReadBackAndNothingElseIsAName) {
    const SegmentFile files[] = {{1, 0, 1},
                                 {9'999, 99, 999'999},
                                 {10'000, 100, 1'000'000},
                                 {std::numeric_limits<std::uint64_t>::max(), 0xffff,
                                  std::numeric_limits<std::uint64_t>::max()}};
    for (const SegmentFile& file : files) {
        const auto parsed = SegmentFile::parse(file.name());
        ASSERT_TRUE(parsed.has_value()) << file.name();
        EXPECT_EQ(parsed->generation, file.generation);
        EXPECT_EQ(parsed->core, file.core);
        EXPECT_EQ(parsed->number, file.number);
    }
    EXPECT_EQ((SegmentFile{1, 0, 1}.name()), "g0001-c00-000001.wal");
    for (const char* name :
         {"", "g", ".wal", "g0001-c00-000001", "g0001-c00-000001.wal.tmp", "g0001-c00-000001.wa",
          "g1-c00-000001.wal", "g0001-c0-000001.wal", "g0001-c00-1.wal", "g00001-c00-000001.wal",
          "G0001-c00-000001.wal", "g0001-c00-000001.wal ", " g0001-c00-000001.wal",
          "g0001_c00-000001.wal", "g-001-c00-000001.wal", "g+001-c00-000001.wal",
          "g0001-c65536-000001.wal", "g0001-c00-99999999999999999999999.wal", "g0001-c00-.wal"}) {
        EXPECT_FALSE(SegmentFile::parse(name).has_value()) << name;
    }
}

// The decision table of recovery.h, row by row.

enum class Fact : std::uint8_t { no, yes, any };
struct Row {
    Fact at_recorded_end;
    Fact successor;
    Fact valid;
    Fact proof;
    Verdict verdict;
};
const Row table[] = {
    {Fact::no, Fact::no, Fact::yes, Fact::any, Verdict::accept},
    {Fact::no, Fact::no, Fact::no, Fact::no, Verdict::torn},
    {Fact::no, Fact::no, Fact::no, Fact::yes, Verdict::damaged},
    {Fact::no, Fact::yes, Fact::yes, Fact::any, Verdict::accept},
    {Fact::no, Fact::yes, Fact::no, Fact::any, Verdict::damaged},
    {Fact::yes, Fact::any, Fact::any, Fact::any, Verdict::next_segment},
};

TEST(WalRecovery, TheDecisionTableHasOneRowForEveryCaseAndIsFollowed) {
    const auto matches = [](Fact fact, bool value) {
        return fact == Fact::any || (fact == Fact::yes) == value;
    };
    for (unsigned bits = 0; bits < 16; ++bits) {
        const PositionFacts facts{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0,
                                  (bits & 8) != 0};
        int rows = 0;
        for (const Row& row : table) {
            if (!matches(row.at_recorded_end, facts.at_recorded_end) ||
                !matches(row.successor, facts.successor) || !matches(row.valid, facts.valid) ||
                !matches(row.proof, facts.proof)) {
                continue;
            }
            ++rows;
            EXPECT_EQ(decide(facts), row.verdict) << bits;
        }
        EXPECT_EQ(rows, 1) << bits;
    }
}

}  // namespace
}  // namespace kv::wal
