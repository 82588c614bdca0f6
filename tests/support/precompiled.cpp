// SPDX-License-Identifier: Apache-2.0
//
// What tests include, parsed once for all of them: see annals_test() in tests/CMakeLists.txt.
