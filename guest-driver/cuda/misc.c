// SPDX-License-Identifier: GPL-2.0-or-later
/* What belongs to no other file. */
#include "context.h"
#include "export/export.h"

CUresult cuGetExportTable(const void **ppExportTable, const CUuuid *pExportTableId)
{
	if (!ppExportTable || !pExportTableId)
		return CUDA_ERROR_INVALID_VALUE;
	return export_table_get(ppExportTable, pExportTableId);
}

/* One device only. */
CUresult cuCtxEnablePeerAccess(CUcontext peerContext, unsigned int Flags)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	if (Flags)
		return CUDA_ERROR_INVALID_VALUE;
	return context_find(peerContext) ? CUDA_ERROR_PEER_ACCESS_UNSUPPORTED
					 : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult cuCtxDisablePeerAccess(CUcontext peerContext)
{
	CUresult r = shim_enter_context();

	if (r != CUDA_SUCCESS)
		return r;
	return context_find(peerContext) ? CUDA_ERROR_PEER_ACCESS_NOT_ENABLED
					 : CUDA_ERROR_INVALID_CONTEXT;
}
