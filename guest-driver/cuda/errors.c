// SPDX-License-Identifier: GPL-2.0-or-later
/* Names and words for the driver's results. */
#include "api.h"

#include <stddef.h>

struct words {
	CUresult result;
	const char *name;
	const char *text;
};

/* clang-format off */
#define W(code, text) { CUDA_##code, "CUDA_" #code, text }
static const struct words words[] = {
	W(SUCCESS, "no error"),
	W(ERROR_INVALID_VALUE, "an argument is outside its allowed range"),
	W(ERROR_OUT_OF_MEMORY, "out of memory"),
	W(ERROR_NOT_INITIALIZED, "initialization error: cuInit() was not called"),
	W(ERROR_DEINITIALIZED, "the driver is shutting down"),
	W(ERROR_PROFILER_DISABLED, "the profiler is not available for this run"),
	W(ERROR_PROFILER_NOT_INITIALIZED, "profiler not initialized"),
	W(ERROR_PROFILER_ALREADY_STARTED, "profiler already started"),
	W(ERROR_PROFILER_ALREADY_STOPPED, "profiler already stopped"),
	W(ERROR_STUB_LIBRARY, "the loaded CUDA library is a stub"),
	W(ERROR_CALL_REQUIRES_NEWER_DRIVER, "this call needs a newer driver"),
	W(ERROR_DEVICE_UNAVAILABLE, "the device is not available: its session has ended"),
	W(ERROR_NO_DEVICE, "no CUDA-capable device is detected"),
	W(ERROR_INVALID_DEVICE, "invalid device ordinal"),
	W(ERROR_DEVICE_NOT_LICENSED, "the device has no valid licence"),
	W(ERROR_INVALID_IMAGE, "device kernel image is invalid"),
	W(ERROR_INVALID_CONTEXT, "invalid device context"),
	W(ERROR_CONTEXT_ALREADY_CURRENT, "the context is current already"),
	W(ERROR_MAP_FAILED, "mapping failed"),
	W(ERROR_UNMAP_FAILED, "unmapping failed"),
	W(ERROR_ARRAY_IS_MAPPED, "the array is mapped"),
	W(ERROR_ALREADY_MAPPED, "the resource is mapped already"),
	W(ERROR_NO_BINARY_FOR_GPU, "no kernel image is available for execution on the device"),
	W(ERROR_ALREADY_ACQUIRED, "the resource is acquired already"),
	W(ERROR_NOT_MAPPED, "the resource is not mapped"),
	W(ERROR_NOT_MAPPED_AS_ARRAY, "the resource is not mapped as an array"),
	W(ERROR_NOT_MAPPED_AS_POINTER, "the resource is not mapped as a pointer"),
	W(ERROR_ECC_UNCORRECTABLE, "uncorrectable ECC error"),
	W(ERROR_UNSUPPORTED_LIMIT, "the device has no such limit"),
	W(ERROR_CONTEXT_ALREADY_IN_USE, "the context is bound to another thread"),
	W(ERROR_PEER_ACCESS_UNSUPPORTED, "peer access is not possible between these devices"),
	W(ERROR_INVALID_PTX, "a PTX JIT compilation failed"),
	W(ERROR_INVALID_GRAPHICS_CONTEXT, "invalid graphics context"),
	W(ERROR_NVLINK_UNCORRECTABLE, "uncorrectable NVLink error"),
	W(ERROR_JIT_COMPILER_NOT_FOUND, "the PTX compiler library was not found"),
	W(ERROR_UNSUPPORTED_PTX_VERSION, "the PTX is of a newer version than the driver compiles"),
	W(ERROR_JIT_COMPILATION_DISABLED, "PTX compilation is disabled"),
	W(ERROR_UNSUPPORTED_EXEC_AFFINITY, "this execution affinity is not supported"),
	W(ERROR_UNSUPPORTED_DEVSIDE_SYNC, "device-side cudaDeviceSynchronize() is not supported"),
	W(ERROR_CONTAINED, "an error was contained; the process must be restarted"),
	W(ERROR_INVALID_SOURCE, "device kernel source is invalid"),
	W(ERROR_FILE_NOT_FOUND, "file not found"),
	W(ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND, "a shared object lacks a symbol"),
	W(ERROR_SHARED_OBJECT_INIT_FAILED, "a shared object failed to initialise"),
	W(ERROR_OPERATING_SYSTEM, "a call of the operating system failed"),
	W(ERROR_INVALID_HANDLE, "invalid resource handle"),
	W(ERROR_ILLEGAL_STATE, "the resource is not in a state for this call"),
	W(ERROR_LOSSY_QUERY, "the answer would lose information"),
	W(ERROR_NOT_FOUND, "named symbol not found"),
	W(ERROR_NOT_READY, "device not ready"),
	W(ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered"),
	W(ERROR_LAUNCH_OUT_OF_RESOURCES, "too many resources requested for launch"),
	W(ERROR_LAUNCH_TIMEOUT, "the launch timed out and was terminated"),
	W(ERROR_LAUNCH_INCOMPATIBLE_TEXTURING, "a launch with an incompatible texturing mode"),
	W(ERROR_PEER_ACCESS_ALREADY_ENABLED, "peer access is enabled already"),
	W(ERROR_PEER_ACCESS_NOT_ENABLED, "peer access is not enabled"),
	W(ERROR_PRIMARY_CONTEXT_ACTIVE, "the primary context is active already"),
	W(ERROR_CONTEXT_IS_DESTROYED, "context is destroyed"),
	W(ERROR_ASSERT, "device-side assert triggered"),
	W(ERROR_TOO_MANY_PEERS, "no hardware left for peer access"),
	W(ERROR_HOST_MEMORY_ALREADY_REGISTERED, "part or all of the memory is registered already"),
	W(ERROR_HOST_MEMORY_NOT_REGISTERED, "the pointer is not to registered memory"),
	W(ERROR_HARDWARE_STACK_ERROR, "hardware stack error"),
	W(ERROR_ILLEGAL_INSTRUCTION, "an illegal instruction was encountered"),
	W(ERROR_MISALIGNED_ADDRESS, "misaligned address"),
	W(ERROR_INVALID_ADDRESS_SPACE, "an operation on the wrong address space"),
	W(ERROR_INVALID_PC, "invalid program counter"),
	W(ERROR_LAUNCH_FAILED, "unspecified launch failure"),
	W(ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, "too many blocks in a cooperative launch"),
	W(ERROR_TENSOR_MEMORY_LEAK, "a kernel ended without giving back tensor memory"),
	W(ERROR_NOT_PERMITTED, "operation not permitted"),
	W(ERROR_NOT_SUPPORTED, "operation not supported"),
	W(ERROR_SYSTEM_NOT_READY, "the system is not ready for CUDA work yet"),
	W(ERROR_SYSTEM_DRIVER_MISMATCH, "the driver's parts are of different versions"),
	W(ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE, "forward compatibility is not supported on this device"),
	W(ERROR_MPS_CONNECTION_FAILED, "MPS connection failed"),
	W(ERROR_MPS_RPC_FAILURE, "MPS RPC failure"),
	W(ERROR_MPS_SERVER_NOT_READY, "MPS server not ready"),
	W(ERROR_MPS_MAX_CLIENTS_REACHED, "MPS max clients reached"),
	W(ERROR_MPS_MAX_CONNECTIONS_REACHED, "MPS max connections reached"),
	W(ERROR_MPS_CLIENT_TERMINATED, "MPS client terminated"),
	W(ERROR_CDP_NOT_SUPPORTED, "dynamic parallelism is not supported here"),
	W(ERROR_CDP_VERSION_MISMATCH, "dynamic parallelism of another version"),
	W(ERROR_STREAM_CAPTURE_UNSUPPORTED, "operation not permitted when stream is capturing"),
	W(ERROR_STREAM_CAPTURE_INVALIDATED, "an earlier error has ended the capture"),
	W(ERROR_STREAM_CAPTURE_MERGE, "the call would merge two captures"),
	W(ERROR_STREAM_CAPTURE_UNMATCHED, "the capture did not begin in this stream"),
	W(ERROR_STREAM_CAPTURE_UNJOINED, "the capture has work that was not joined to its first stream"),
	W(ERROR_STREAM_CAPTURE_ISOLATION, "a dependency would cross the border of the capture"),
	W(ERROR_STREAM_CAPTURE_IMPLICIT, "an implicit dependency on the legacy stream in a capture"),
	W(ERROR_CAPTURED_EVENT, "the event was recorded in a capture"),
	W(ERROR_STREAM_CAPTURE_WRONG_THREAD, "the capture was begun by another thread"),
	W(ERROR_TIMEOUT, "the wait took too long"),
	W(ERROR_GRAPH_EXEC_UPDATE_FAILURE, "the graph differs too much for an update"),
	W(ERROR_EXTERNAL_DEVICE, "an external device reported an error"),
	W(ERROR_INVALID_CLUSTER_SIZE, "invalid cluster size"),
	W(ERROR_FUNCTION_NOT_LOADED, "the function is not loaded"),
	W(ERROR_INVALID_RESOURCE_TYPE, "invalid resource type"),
	W(ERROR_INVALID_RESOURCE_CONFIGURATION, "invalid resource configuration"),
	W(ERROR_KEY_ROTATION, "a key rotation is going on"),
	W(ERROR_UNKNOWN, "unknown error"),
};
/* clang-format on */

static const struct words *words_for(CUresult result)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].result == result)
			return &words[i];
	return NULL;
}

CUresult cuGetErrorName(CUresult error, const char **pStr)
{
	const struct words *w = words_for(error);

	if (!pStr)
		return CUDA_ERROR_INVALID_VALUE;
	*pStr = w ? w->name : NULL;
	return w ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult error, const char **pStr)
{
	const struct words *w = words_for(error);

	if (!pStr)
		return CUDA_ERROR_INVALID_VALUE;
	*pStr = w ? w->text : NULL;
	return w ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
