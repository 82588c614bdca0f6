// SPDX-License-Identifier: Apache-2.0
//
// How a benchmark program is driven: it reads lines "SUBJECT CALLS PATH" and answers each with the nanoseconds that CALLS
// calls of the subject on the file at PATH took. The driver asks for ours and the peer in turn, so that both meet the same
// noise. What a subject prepares (opening its file) is done at its first line, before the clock starts.
#pragma once
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <utility>

namespace bench {

using calls = std::function<void(std::size_t count)>;           // makes `count` calls; throws when one failed
using subject = std::function<calls(const std::string& path)>;  // prepares for the file at `path`
using subjects = std::map<std::string, subject, std::less<>>;

// Answers standard input until its end. Returns the exit code; a subject that throws ends it with 1 and a message.
inline int serve(const subjects& known) try {
  std::map<std::pair<std::string, std::string>, calls> prepared;
  std::string name;
  std::string path;
  std::size_t count = 0;
  while (std::cin >> name >> count >> std::ws && std::getline(std::cin, path)) {
    auto found = prepared.find({name, path});
    if (found == prepared.end()) found = prepared.emplace(std::pair(name, path), known.at(name)(path)).first;
    const auto start = std::chrono::steady_clock::now();
    found->second(count);
    const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - start;
    std::cout << took.count() << std::endl;
  }
  return 0;
} catch (const std::exception& thrown) {
  std::cerr << "bench: " << thrown.what() << '\n';
  return 1;
}

}  // namespace bench
