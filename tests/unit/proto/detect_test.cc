#include "proto/detect.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>

namespace kv {
namespace {

constexpr std::size_t line_max = 64;

std::optional<Family> detect(std::string_view bytes, LineProtocol lines = LineProtocol::automatic) {
    return Detector(lines, line_max).next(bytes);
}

TEST(Detect, NeedsAByte) {
    for (const auto lines : {LineProtocol::automatic, LineProtocol::text, LineProtocol::resp}) {
        EXPECT_EQ(detect("", lines), std::nullopt);
    }
}

TEST(Detect, EveryFirstByteHasItsFamily) {
    for (unsigned value = 0; value < 256; ++value) {
        const char first = static_cast<char>(value);
        std::optional<Family> expected;  // a line: not before its end
        if (value < 0x20 && first != '\n' && first != '\r') expected = Family::binary;
        if (first == '*' || first == '+' || first == '-' || first == '$' || first == ':') {
            expected = Family::resp;
        }
        if (first == '\n') expected = Family::text;  // a whole line already
        EXPECT_EQ(detect({&first, 1}), expected) << value;
    }
}

TEST(Detect, ALineIsRespWhenItEndsInCrlfAndTextOtherwise) {
    EXPECT_EQ(detect("PING\r\n"), Family::resp);
    EXPECT_EQ(detect("PING\n"), Family::text);
    EXPECT_EQ(detect("PING"), std::nullopt);
    EXPECT_EQ(detect("PING\r"), std::nullopt);
    EXPECT_EQ(detect("PING\r \n"), Family::text);
    EXPECT_EQ(detect("PING\nPING\r\n"), Family::text) << "the first line decides";
    EXPECT_EQ(detect("\xff\r\n"), Family::resp);
}

TEST(Detect, AnEmptyFirstLineIsALineAndNotAFrame) {
    EXPECT_EQ(detect("\r\n"), Family::resp);
    EXPECT_EQ(detect("\n"), Family::text);
    EXPECT_EQ(detect("\r"), std::nullopt);
    EXPECT_EQ(detect("\rX\n"), Family::text);
}

TEST(Detect, TheConfigurationDecidesLinesAtOnceAndNothingElse) {
    for (const std::string_view line : {"P", "PING\r\n", "PING\n", "\r", "\n"}) {
        EXPECT_EQ(detect(line, LineProtocol::text), Family::text);
        EXPECT_EQ(detect(line, LineProtocol::resp), Family::resp);
    }
    EXPECT_EQ(detect("*1\r\n", LineProtocol::text), Family::resp);
    EXPECT_EQ(detect("\x01", LineProtocol::text), Family::binary);
    EXPECT_EQ(detect("\x1f", LineProtocol::resp), Family::binary);
}

TEST(Detect, ALineBeyondTheLimitIsText) {
    const std::string longest(line_max - 1, 'x');
    EXPECT_EQ(detect(longest + "\r\n"), Family::resp);
    EXPECT_EQ(detect(longest + "x\r\n"), Family::text);
    EXPECT_EQ(detect(longest + "xx"), Family::text);
}

TEST(Detect, SameResultAtEverySplit) {
    const std::string wires[] = {"GET k\r\n", "GET k\n", "\r\n", std::string(line_max + 9, 'x')};
    for (const std::string& wire : wires) {
        Detector detector(LineProtocol::automatic, line_max);
        std::optional<Family> family;
        for (std::size_t size = 0; size <= wire.size() && !family; ++size) {
            std::unique_ptr<char[]> block(new char[size]);
            std::memcpy(block.get(), wire.data(), size);
            family = detector.next({block.get(), size});
        }
        EXPECT_EQ(family, detect(wire)) << wire;
        EXPECT_TRUE(family.has_value());
    }
}

TEST(Detect, ALongLineCostsLinearTime) {
    const std::string line(std::size_t{4} << 20, 'x');
    Detector detector(LineProtocol::automatic, line.size());
    for (std::size_t size = 0; size <= line.size(); ++size) {
        ASSERT_EQ(detector.next(std::string_view(line).substr(0, size)), std::nullopt);
    }
}

}  // namespace
}  // namespace kv
