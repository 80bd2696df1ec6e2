/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Beginning and end, and what there is to say of the library and the system.
 *
 * Devices are asked for once in a process and then kept, so that device
 * handles stay valid whatever comes, shutdown and fork too.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "exports.h"
#include "library.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int users; /* nvmlInit less nvmlShutdown; written under the lock */
static bool known;
static struct nvml_device devices[DEVICES_MAX];
static unsigned int ndevices;
static int cuda_version;

static void print_uuid(char *out, const unsigned char *u)
{
	out += sprintf(out, "GPU-");
	for (int i = 0; i < 16; i++)
		out += sprintf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			       u[i]);
}

static nvmlReturn_t learn(void)
{
	static struct vgpu_device_info info[DEVICES_MAX];
	nvmlReturn_t r = ask_devices(info, &ndevices, &cuda_version);

	if (r != NVML_SUCCESS)
		return r;
	for (unsigned int i = 0; i < ndevices; i++) {
		struct nvml_device *d = &devices[i];

		d->index = i;
		d->info = info[i];
		sscanf(info[i].pci_bus_id, "%x:%x:%x", &d->domain, &d->bus, &d->slot);
		print_uuid(d->uuid, info[i].uuid);
	}
	known = true;
	return NVML_SUCCESS;
}

/* ---- for the other files */

nvmlReturn_t nvml_enter(void)
{
	return __atomic_load_n(&users, __ATOMIC_ACQUIRE) > 0 ? NVML_SUCCESS
							     : NVML_ERROR_UNINITIALIZED;
}

nvmlReturn_t nvml_enter_device(nvmlDevice_t device)
{
	nvmlReturn_t r = nvml_enter();

	if (r != NVML_SUCCESS)
		return r;
	for (unsigned int i = 0; i < ndevices; i++)
		if (device == &devices[i])
			return NVML_SUCCESS;
	return NVML_ERROR_INVALID_ARGUMENT;
}

nvmlDevice_t nvml_device(unsigned int index)
{
	return index < ndevices ? &devices[index] : NULL;
}

unsigned int nvml_device_count(void)
{
	return ndevices;
}

int nvml_cuda_version(void)
{
	return cuda_version;
}

nvmlReturn_t nvml_text(char *out, unsigned int size, const char *text)
{
	size_t bytes = strlen(text) + 1;

	if (!out)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (bytes > size)
		return NVML_ERROR_INSUFFICIENT_SIZE;
	memcpy(out, text, bytes);
	return NVML_SUCCESS;
}

/* ---- exported */

NVML_EXPORT nvmlReturn_t nvmlInitWithFlags(unsigned int flags)
{
	nvmlReturn_t r = NVML_SUCCESS;

	(void)flags; /* without a device is no error, as with both of the flags */
	pthread_mutex_lock(&lock);
	if (!known)
		r = learn();
	if (r == NVML_SUCCESS)
		__atomic_add_fetch(&users, 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
	return r;
}

NVML_EXPORT nvmlReturn_t nvmlInit_v2(void)
{
	return nvmlInitWithFlags(0);
}

NVML_EXPORT nvmlReturn_t nvmlInit(void)
{
	return nvmlInitWithFlags(0);
}

NVML_EXPORT nvmlReturn_t nvmlShutdown(void)
{
	nvmlReturn_t r;

	pthread_mutex_lock(&lock);
	r = nvml_enter();
	if (r == NVML_SUCCESS)
		__atomic_sub_fetch(&users, 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
	return r;
}

NVML_EXPORT const char *nvmlErrorString(nvmlReturn_t result)
{
	switch (result) {
	case NVML_SUCCESS:
		return "Success";
	case NVML_ERROR_UNINITIALIZED:
		return "Uninitialized";
	case NVML_ERROR_INVALID_ARGUMENT:
		return "Invalid argument";
	case NVML_ERROR_NOT_SUPPORTED:
		return "Not supported";
	case NVML_ERROR_NO_PERMISSION:
		return "No permission";
	case NVML_ERROR_NOT_FOUND:
		return "Not found";
	case NVML_ERROR_INSUFFICIENT_SIZE:
		return "Buffer too small";
	case NVML_ERROR_DRIVER_NOT_LOADED:
		return "No GPU service: /dev/vgpu_stub or the host's daemon is missing";
	case NVML_ERROR_TIMEOUT:
		return "Timeout";
	case NVML_ERROR_GPU_IS_LOST:
		return "GPU is lost";
	case NVML_ERROR_IN_USE:
		return "In use";
	case NVML_ERROR_MEMORY:
		return "Out of memory";
	case NVML_ERROR_ARGUMENT_VERSION_MISMATCH:
		return "Version of the argument is not known";
	default:
		return "Unknown error";
	}
}

NVML_EXPORT nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version)
{
	nvmlReturn_t r = nvml_enter();

	if (r != NVML_SUCCESS)
		return r;
	if (!version)
		return NVML_ERROR_INVALID_ARGUMENT;
	*version = cuda_version;
	return NVML_SUCCESS;
}

NVML_EXPORT nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version)
{
	return nvmlSystemGetCudaDriverVersion_v2(version);
}

/*
 * The host does not say which release its driver is.  The branch follows from
 * the version of CUDA that it brings, and programs look at no more than that.
 */
static unsigned int driver_branch(void)
{
	static const struct {
		int cuda;
		unsigned int branch;
	} branches[] = {
		{12000, 525}, {12010, 530}, {12020, 535}, {12030, 545}, {12040, 550}, {12050, 555},
		{12060, 560}, {12070, 565}, {12080, 570}, {12090, 575}, {13000, 580}, {13010, 590},
	};

	for (size_t i = 0; i < sizeof(branches) / sizeof(branches[0]); i++)
		if (branches[i].cuda == cuda_version)
			return branches[i].branch;
	return 0;
}

NVML_EXPORT nvmlReturn_t nvmlSystemGetDriverVersion(char *out, unsigned int size)
{
	nvmlReturn_t r = nvml_enter();
	char text[32];

	if (r != NVML_SUCCESS)
		return r;
	if (!driver_branch())
		return NVML_ERROR_NOT_SUPPORTED;
	snprintf(text, sizeof(text), "%u.00", driver_branch());
	return nvml_text(out, size, text);
}

NVML_EXPORT nvmlReturn_t nvmlSystemGetNVMLVersion(char *out, unsigned int size)
{
	char text[32];

	snprintf(text, sizeof(text), "%d.%u.00", cuda_version / 1000, driver_branch());
	return nvml_text(out, size, text);
}

/* The name of the program that a process runs, as the guest's kernel has it. */
NVML_EXPORT nvmlReturn_t nvmlSystemGetProcessName(unsigned int pid, char *name, unsigned int length)
{
	nvmlReturn_t r = nvml_enter();
	char path[64], text[4096];
	size_t n;
	FILE *f;

	if (r != NVML_SUCCESS)
		return r;
	snprintf(path, sizeof(path), "/proc/%u/cmdline", pid);
	f = fopen(path, "re");
	if (!f)
		return NVML_ERROR_NOT_FOUND;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = 0; /* cmdline is a list of strings: its first is the name */
	return nvml_text(name, length, text);
}

/* Units are cases with several GPUs and lamps of their own. */
NVML_EXPORT nvmlReturn_t nvmlUnitGetCount(unsigned int *count)
{
	nvmlReturn_t r = nvml_enter();

	if (r == NVML_SUCCESS && !count)
		r = NVML_ERROR_INVALID_ARGUMENT;
	if (r == NVML_SUCCESS)
		*count = 0;
	return r;
}
